/**
 * What a change takes back and yet cannot cut: deleting a connection's entry ends TCP, for a segment without SYN opens nothing; but a datagram
 * of the answering side opens the flow anew when that side may itself send to the other. Said in the plan, never silently.
 */
import { judge } from '../compile/judge.ts';
import type { HostPolicy } from '../compile/policy-model.ts';
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import type { Fabric, Party, Publish, Rule } from '../fabric/model.ts';

/** Of each side of a rule at most this many guests are tried. */
const SAMPLES = 3;
/** RFC 5737, RFC 3849: stand for the internet. */
const outside = ['198.51.100.7', '2001:db8:ffff::7'];
/** A client's port, which no rule names. */
const EPHEMERAL = 50_000;

/** One warning for each rule that is gone and whose datagrams the answering side may still send by itself under `policy`. */
export function uncuttable(before: Fabric, after: Fabric, policyAfter: () => HostPolicy): Diagnostic[] {
  const kept = new Set(after.allow.map((rule) => rule.id));
  const gone = [...before.allow.filter((rule) => !kept.has(rule.id) && speaksOfDatagrams(rule)), ...withdrawn(before, after)];
  if (gone.length === 0) return [];
  const policy = policyAfter();
  return gone.flatMap((rule): Diagnostic[] => {
    const openers = addresses(before, rule.from);
    const answerers = addresses(before, rule.to);
    const open = answerers.some((src) =>
      openers.some(
        (dst) =>
          src.includes(':') === dst.includes(':') &&
          policy.endpoints.has(src) &&
          judge(policy, { src, dst, protocol: 'udp', dport: EPHEMERAL, path: 'forward' }).verdict === 'accept',
      ),
    );
    if (!open) return [];
    const message = `\`${rule.text}\` is taken back, but its answering side may still send UDP to the other by itself: an exchange under way goes on until one side stops. Block the way back for a while, or restart the service, to end it now`;
    return [{ code: 'cannot-cut', severity: 'warning', message }];
  });
}

/** A rule, or a published port. */
type TakenBack = Pick<Rule, 'text' | 'from' | 'to'>;

function withdrawn(before: Fabric, after: Fabric): TakenBack[] {
  const place = ({ host, address, ports, to }: Publish): string => JSON.stringify([host, address ?? null, ports, to]);
  const kept = new Set(after.publish.flatMap((one) => [one.id, ...(one.from ? [] : [place(one)])]));
  return before.publish
    .filter((one) => !kept.has(one.id) && !kept.has(place(one)) && one.ports.some(({ protocol }) => protocol === 'udp'))
    .map(({ text, from, to }) => ({
      text,
      from: from ?? [{ kind: 'any', text: 'any' }],
      to: [{ kind: 'guests', text: to.guest, endpoints: [to] }],
    }));
}

const speaksOfDatagrams = (rule: Rule): boolean => rule.ports === 'any' || rule.ports.some((spec) => spec.protocol === 'udp');

function addresses(fabric: Fabric, parties: readonly Party[]): string[] {
  return parties.flatMap((party) => {
    if (party.kind === 'internet' || party.kind === 'any') return outside;
    if (party.kind !== 'guests') return [];
    return party.endpoints.slice(0, SAMPLES).flatMap(({ guest, nic }) => {
      const found = fabric.guests.find((candidate) => candidate.name === guest)?.nics[nic];
      return [found?.v4, found?.v6].filter((address) => address !== undefined);
    });
  });
}
