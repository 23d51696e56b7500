/** Connections to published ports: from every position that may use them, at the host's address, to be answered by the guest. */
import type { Fabric, Party, Publish } from '../fabric/model.ts';
import type { Attempt } from './cases.ts';
import type { Place, Places } from './places.ts';

/** One published port of one guest address, as it is dialled. */
interface Dialled {
  readonly target: Place;
  /** The host, at the address that is dialled. */
  readonly at: Place;
  readonly protocol: 'tcp' | 'udp';
  readonly hostPort: number;
  readonly guestPort: number;
}

/** Sources of one kind tried for one port. */
const SOURCES = 3;

/** Every position for the ends of each range: outside, the host, the guest itself, its network, another network; or who the entry names. */
export function publishedAttempts(one: Publish, fabric: Fabric, places: Places): readonly Attempt[] {
  return dialledOf(one, places).flatMap((dialled) =>
    sourcesOf(one, dialled, fabric, places).flatMap((from) => (reaches(from, dialled.at, places) ? [attemptOf(from, dialled)] : [])),
  );
}

/** The guest's own ports from outside and from its network, past the translation: they have not opened. */
export function directAttempts(one: Publish, places: Places): readonly Attempt[] {
  return dialledOf(one, places).flatMap(({ target, protocol, guestPort }) => {
    const outside = places.outside.filter((place) => places.meet(place, target));
    const mate = places.guests.find((place) => place.network === target.network && places.meet(place, target));
    return [...outside, ...(mate ? [mate] : [])].map((from) => ({ from, to: target, protocol, port: guestPort }));
  });
}

/** How somebody might reach a guest by what is published for it, at ports of the guest that `wanted` names. */
export function dialledFrom(
  from: Place,
  to: Place,
  fabric: Fabric,
  places: Places,
  wanted: (protocol: 'tcp' | 'udp', guestPort: number) => boolean,
): readonly Attempt[] {
  return fabric.publish
    .flatMap((one) => dialledOf(one, places))
    .filter(({ target, protocol, guestPort }) => target.address === to.address && wanted(protocol, guestPort))
    .flatMap((dialled) => (reaches(from, dialled.at, places) ? [attemptOf(from, dialled)] : []));
}

function dialledOf({ host, address, ports, to }: Publish, places: Places): Dialled[] {
  const targets = places.of({ kind: 'guests', text: to.guest, endpoints: [to] }, undefined);
  const own = places.of({ kind: 'named-host', text: host, host }, undefined);
  return targets.flatMap((target) => {
    const at = own.find((place) => (address === undefined ? place.family === target.family : place.address === address));
    if (!at || at.family !== target.family) return [];
    return ports
      .slice(0, 3)
      .flatMap(({ protocol, first, last, target: targetPort }) =>
        protocol === 'sctp'
          ? []
          : [...new Set([first, last])].map((hostPort) => ({ target, at, protocol, hostPort, guestPort: targetPort + hostPort - first })),
      );
  });
}

function sourcesOf({ from }: Publish, { target, at }: Dialled, fabric: Fabric, places: Places): readonly Place[] {
  if (from) {
    return from.flatMap((party: Party) =>
      party.kind === 'host' || party.kind === 'named-host' ? [at] : places.of(party, target).slice(0, SOURCES),
    );
  }
  const isolated = new Set(fabric.networks.filter(({ kind }) => kind === 'isolated').map(({ name }) => name));
  const guests = places.guests.filter(
    (place) => place.family === target.family && place.guest !== target.guest && !isolated.has(place.network ?? ''),
  );
  const mate = guests.find((place) => place.network === target.network);
  const other = guests.find((place) => place.network !== target.network);
  return [...places.outside, at, target, ...(mate ? [mate] : []), ...(other ? [other] : [])];
}

const reaches = (from: Place, at: Place, places: Places): boolean =>
  from.kind === 'host' ? from.address === at.address : places.meet(from, at);

const attemptOf = (from: Place, { target, at, protocol, hostPort, guestPort }: Dialled): Attempt => ({
  from,
  to: target,
  protocol,
  port: guestPort,
  dial: { address: at.address, port: hostPort },
});
