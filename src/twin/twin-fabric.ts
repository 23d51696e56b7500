/**
 * The fabric as its twin: the same names, addresses and rules, with a network namespace in place of every guest's inside, and an uplink
 * whose addresses collide with nothing in the file.
 */
import { prefixesOf } from '../fabric/addressing.ts';
import { assumedOuterWorld } from '../fabric/outer-world.ts';
import type { OuterLan } from '../fabric/outer-lans.ts';
import type { Fabric, Guest, Host } from '../fabric/model.ts';
import type { BedHost } from './bed.ts';

export interface TwinPlan {
  readonly fabric: Fabric;
  readonly host: string;
  readonly bedHost: BedHost;
  /** Addresses of the outer world that stand for "the internet", one a family; outside every subnet of the file and of the uplink. */
  readonly outside: readonly string[];
  /** What bridged networks are on. */
  readonly lans: readonly OuterLan[];
}

export function planTwin(fabric: Fabric, host: string): TwinPlan {
  const declared = fabric.hosts.find((one) => one.name === host);
  const { uplink, lans, main, outside } = assumedOuterWorld(fabric, host);
  const networks = fabric.networks.filter((network) => network.host === host);
  return {
    fabric: {
      ...fabric,
      hosts: fabric.hosts.map(withUplink),
      guests: fabric.guests.map((guest) => asNamespace(fabric, guest)),
    },
    host,
    bedHost: {
      name: 'host',
      ...(declared?.uplink === undefined ? {} : { uplink: declared.uplink }),
      ...(declared?.macs?.[0] === undefined ? {} : { mac: declared.macs[0] }),
      addresses: uplink.addresses,
      gateways: uplink.gateways,
      ...(main === undefined ? {} : { neighbours: main.neighbours }),
      lans: lans
        .filter((lan) => lan !== main)
        .map((lan) => ({ interface: lan.interface, addresses: lan.host, outer: [...lan.routers, ...lan.neighbours] })),
      routes: networks.filter(({ kind }) => kind !== 'bridged').flatMap(prefixesOf),
    },
    outside,
    lans,
  };
}

/** The twin's uplink stands, with the host's addresses, before anything is applied to it. */
function withUplink(host: Host): Host {
  const { managed: _, ...rest } = host;
  return rest;
}

/** The namespace Weft would make for a guest of kind namespace; `inside` guests live in their outer guest's. */
function asNamespace(fabric: Fabric, guest: Guest): Guest {
  const { user: _, ...rest } = guest;
  const kind = 'namespace' as const;
  return guest.inside === undefined ? { ...rest, kind, namespace: `${fabric.name}-${guest.name.toLowerCase()}` } : { ...rest, kind };
}
