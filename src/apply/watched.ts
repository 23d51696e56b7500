/**
 * Which events of the kernel can mean drift. What guests do all day (neighbours that come and go, other programs' tables) must cost nothing.
 */
import type { HostState } from '../hoststate/model.ts';
import { KEPT_LINES, type RulesChange } from '../kernel/follow.ts';
import { foreignLinks } from '../plan/attainable.ts';
import { WEFT_PROTOCOL } from '../hoststate/model.ts';

/** Whether a line of `ip monitor label` speaks of something in this state. */
export type Concerns = (line: string) => boolean;

/** `managed`: an uplink that Weft sets up (`manage: true`), where what others have set is to stay. */
export function concernsOf(state: HostState, managed?: string): Concerns {
  const own = new Set(state.links.map((link) => link.name));
  const foreign = new Set(foreignLinks(state));
  const addressed = new Set(state.addresses.map((entry) => entry.link));
  const addresses = new Set(state.neighbors.map((neighbor) => neighbor.address));
  const macs = new Set(state.fdb.map((entry) => entry.mac));
  const protocol = ` proto ${WEFT_PROTOCOL} `;
  return (line) => {
    const [, label, rest = ''] = /^\[(\w+)\](?:Deleted )?(.*)$/.exec(line) ?? [];
    const dev = / ?\bdev (\S+)/.exec(rest)?.[1] ?? '';
    if (label === 'LINK') {
      const name = /^\d+: ([^:@\s]+)/.exec(rest)?.[1] ?? '';
      // Whatever joins a bridge of Weft.
      const master = / master (\S+)/.exec(rest)?.[1] ?? '';
      return own.has(name) || foreign.has(name) || own.has(master);
    }
    if (label === 'ADDR') {
      const name = /^\d+: (\S+)/.exec(rest)?.[1] ?? '';
      return own.has(name) || addressed.has(name) || name === managed;
    }
    if (label === 'ROUTE') return own.has(dev) || `${rest} `.includes(protocol) || (dev === managed && rest.startsWith('default '));
    if (label !== 'NEIGH' || !own.has(dev)) return false;
    // Entries that others have learnt or lost are none of ours; permanent ones were put there, and ours are known by what they say.
    const [first = ''] = rest.split(' ');
    return /\b(PERMANENT|NOARP)\b/.test(rest) || addresses.has(first) || macs.has(/lladdr (\S+)/.exec(rest)?.[1] ?? '');
  };
}

/** A change of Weft's own tables, other than by the answers of its resolver (sets `n_<hash>`); of a change too long to be kept whole nobody knows. */
export const concernsRules = ({ lines }: RulesChange): boolean =>
  lines.length >= KEPT_LINES || lines.some((line) => /\b(inet|netdev|bridge) weft\b/.test(line) && !/^\w+ element inet weft n_/.test(line));
