/** The parties that answers speak of: guests of which the file says the same as one party, the host, the internet. */
import type { Party } from '../../fabric/model.ts';
import type { FlowSet } from '../symbolic/flow-space.ts';
import { endpointKey, type Endpoint } from './endpoints.ts';
import { kindsOf } from './kinds.ts';
import type { Subject } from './subject.ts';
import type { World } from './world.ts';

/** One row and column. */
export interface Kind {
  /** `web`, `web and 12 like it`, `host`, `internet`. */
  readonly name: string;
  readonly guests: readonly string[];
  readonly party: Party;
}

/** Up to so many guests each is a party of its own. */
const SINGLE_GUESTS = 40;

/** Guests in the order of the file, those of a kind together when there are many; then the host, then the internet. */
export function partiesOf(world: World): readonly Kind[] {
  const said = new Map<string, string>();
  for (const [i, group] of kindsOf(world).entries()) for (const address of group) said.set(address, `${said.get(address) ?? ''} ${i}`);
  const byGuest = Map.groupBy(world.endpoints, ({ guest }) => guest);
  const single = byGuest.size <= SINGLE_GUESTS;
  const kinds = Map.groupBy([...byGuest.entries()], ([guest, endpoints]) =>
    single ? guest : endpoints.map(({ address }) => said.get(address) ?? '').join('|'),
  );
  const guests = [...kinds.values()].flatMap((members): Kind[] => {
    const [first] = members;
    if (first === undefined) return [];
    const names = members.map(([guest]) => guest);
    const name = names.length === 1 ? first[0] : `${first[0]} and ${names.length - 1} like it`;
    return [{ name, guests: names, party: { kind: 'guests', text: name, endpoints: members.flatMap(([, list]) => nicsOf(list)) } }];
  });
  return [
    ...guests,
    { name: 'host', guests: [], party: { kind: 'host', text: 'host' } },
    { name: 'internet', guests: [], party: { kind: 'internet', text: 'internet' } },
  ];
}

function nicsOf(endpoints: readonly Endpoint[]): { readonly guest: string; readonly nic: number }[] {
  const nics = new Map(endpoints.map(({ guest, nic }) => [endpointKey({ guest, nic: nic.index }), { guest, nic: nic.index }]));
  return [...nics.values()];
}

/** Everything from one party to another, but for what a machine sends itself. */
export function flowsBetween(from: Kind, to: Kind, { sides }: Subject): FlowSet {
  const { space } = sides;
  const all = space.and(sides.source(from.party), sides.destination(to.party));
  if (all === space.none || from.party.kind !== 'guests' || to.party.kind !== 'guests') return all;
  return space.minus(all, sides.toItself(sides.endpointsOf(from.party)));
}
