/**
 * What is wrong with a fabric on this host, and can only be known there: subnets the host already uses, an uplink that is not there, a source address it does not have. Pure,
 * from the facts; reported before anything changes.
 */
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { prefixesOf } from '../fabric/addressing.ts';
import type { Fabric, Network } from '../fabric/model.ts';
import type { HostFacts } from '../hoststate/model.ts';
import { formatPrefix, parsePrefix, prefixesOverlap, prefixWithin, type Prefix } from '../net/ip.ts';
import { isolatedProblems } from './isolated.ts';
import { outerProblems } from './outer-problems.ts';
import { localNetworks } from './local-nics.ts';
import { managedProblems } from './managed.ts';
import { publishProblems } from './publish-problems.ts';
import { routedProblems } from './routed-problems.ts';

/** Every host has them on every link: no subnet collides with these. */
const EVERYWHERE = ['127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '::1/128', 'fe80::/10', 'ff00::/8'].flatMap(
  (text) => parsePrefix(text) ?? [],
);

/**
 * Codes: `subnet-in-use` (error when the host has a route or an address inside the subnet, or the same one; warning when its route is wider, which then
 * only loses the part that the network takes), `snat-not-on-uplink` (error), `uplink-unknown` (error with `snat:`, else warning: guests are
 * translated behind whatever interface a packet leaves by), `mac-not-listed` (error), `filter-off` (warning), `isolated-outside` (warning); `default-route-in-use` (error, see managed.ts); `address-not-of-host` and
 * `published-port-in-use` (errors, see publish-problems.ts).
 */
export function hostProblems(fabric: Fabric, hostName: string, facts: HostFacts): Diagnostic[] {
  const ofNetworks = localNetworks(fabric, hostName).flatMap((network) => [
    ...subnetsInUse(network, facts),
    ...(network.kind === 'routed' ? routedProblems(fabric, network, facts) : []),
    ...uplinkProblems(network, facts),
    ...outerProblems(network, fabric, facts),
    ...(network.filter === 'off' ? [filterOff(network)] : []),
  ]);
  return [
    ...ofNetworks,
    ...missingUplink(fabric, hostName, facts),
    ...managedProblems(facts),
    ...macProblems(fabric, hostName, facts),
    ...isolatedProblems(fabric, hostName, facts),
    ...publishProblems(fabric, hostName, facts),
  ];
}

function subnetsInUse(network: Network, facts: HostFacts): Diagnostic[] {
  const problems: Diagnostic[] = [];
  const routes = facts.routes.flatMap(({ prefix: text, link }) => {
    const prefix = parsePrefix(text);
    return prefix && prefix.length > 0 && !isEverywhere(prefix) ? [{ prefix, link }] : [];
  });
  routes.sort((a, b) => a.prefix.length - b.prefix.length);
  for (const text of network.kind === 'routed' ? (network.bootstrap ? [network.bootstrap.subnet] : []) : prefixesOf(network)) {
    const subnet = parsePrefix(text);
    if (!subnet) continue;
    // One word an interface: its own address says no more than the route to its subnet.
    const said = new Set<string>();
    for (const { prefix, link } of routes) {
      const key = `${prefix.length < subnet.length} ${link}`;
      // A bridged network is part of the one its interface is in.
      if (!prefixesOverlap(prefix, subnet) || said.has(key) || link === network.interface) continue;
      said.add(key);
      problems.push(inUse(network, subnet, prefix, link));
    }
  }
  return problems;
}

function inUse(network: Network, subnet: Prefix, route: Prefix, link: string): Diagnostic {
  const wider = route.length < subnet.length;
  const where = `${formatPrefix(route)} on ${link}`;
  return wider
    ? {
        code: 'subnet-in-use',
        severity: 'warning',
        message: `The subnet ${formatPrefix(subnet)} of the network \`${network.name}\` lies within ${where}, where this host reaches others: those with an address in it will no longer be reached from here; take another subnet if there are any.`,
      }
    : {
        code: 'subnet-in-use',
        severity: 'error',
        message: `The subnet ${formatPrefix(subnet)} of the network \`${network.name}\` is already in use on this host: ${where}; take another subnet, or remove that route or address.`,
      };
}

const isEverywhere = (prefix: Prefix): boolean => EVERYWHERE.some((known) => prefixWithin(prefix, known));

function uplinkProblems(network: Network, facts: HostFacts): Diagnostic[] {
  if (network.kind === 'isolated') return [];
  const { snat } = network;
  if (!facts.uplink) {
    return [
      {
        code: 'uplink-unknown',
        severity: snat === undefined ? 'warning' : 'error',
        message: `This host has no interface with a default route, so guests of the network \`${network.name}\` reach nothing outside now; name the interface with \`uplink:\` under the host, or bring it up.`,
      },
    ];
  }
  const own = facts.uplink.addresses.map((address) => address.replace(/\/\d+$/, ''));
  if (snat === undefined || own.includes(snat)) return [];
  const there = own.length === 0 ? 'it has none' : `it has ${own.join(', ')}`;
  return [
    {
      code: 'snat-not-on-uplink',
      severity: 'error',
      message: `The address ${snat}, behind which the network \`${network.name}\` is to be seen, is not on the uplink ${facts.uplink.name} (${there}); add it there, or take one of those as \`snat:\`.`,
    },
  ];
}

/** There is nothing to set up. */
function missingUplink(fabric: Fabric, hostName: string, { uplink }: HostFacts): Diagnostic[] {
  const host = fabric.hosts.find(({ name }) => name === hostName);
  if (host?.managed === undefined || uplink) return [];
  const message = `This host has no interface called ${host.uplink}, which \`manage: true\` is to set up; correct \`uplink:\` under the host.`;
  return [{ code: 'uplink-unknown', severity: 'error', message }];
}

/** With its own MAC not among them, the host itself would fall silent. */
function macProblems(fabric: Fabric, hostName: string, { uplink }: HostFacts): Diagnostic[] {
  const macs = fabric.hosts.find((host) => host.name === hostName)?.macs;
  if (macs === undefined || (uplink && macs.includes(uplink.mac))) return [];
  return uplink
    ? [
        {
          code: 'mac-not-listed',
          severity: 'error',
          message: `The uplink ${uplink.name} has the MAC ${uplink.mac}, which \`macs\` does not list, so this host could send nothing any more; add it there.`,
        },
      ]
    : [
        {
          code: 'uplink-unknown',
          severity: 'error',
          message: `This host has no interface with a default route, so \`macs\` could not be enforced; name the interface with \`uplink:\` under the host, or bring it up.`,
        },
      ];
}

function filterOff(network: Network): Diagnostic {
  return {
    code: 'filter-off',
    severity: 'warning',
    message: `The network \`${network.name}\` has \`filter: off\`: no rule holds on its ports, its guests reach the host's services, the outer network and each other; only anti-spoofing stays.`,
  };
}
