/**
 * From the words of a flow to the NICs, prefixes and hosts they mean (design.md section 2, "Flows"). Serves the rules and
 * expectations of a file being built and the flows of the command line alike.
 */
import type { PartyExpr } from '../config/flow.ts';
import { formatParty } from '../config/flow-format.ts';
import type { DiagnosticCode } from '../diagnostic/codes.ts';
import type { EndpointRef, Party } from './model.ts';
import { nearest } from '../config/nearest.ts';
import { guesser } from './did-you-mean.ts';

/** What names can mean; a {@link Fabric} is one. */
export interface Scope {
  readonly hosts: readonly { readonly name: string }[];
  readonly networks: readonly { readonly name: string }[];
  readonly guests: readonly {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly nics: readonly { readonly index: number; readonly network: string }[];
  }[];
  readonly groups: readonly { readonly name: string; readonly guests: readonly string[]; readonly endpoints?: readonly EndpointRef[] }[];
}

export interface PartyProblem {
  readonly code: DiagnosticCode;
  readonly severity: 'error' | 'warning';
  readonly message: string;
}

export type ResolveParty = (expr: PartyExpr, problem: (problem: PartyProblem) => void) => Party | undefined;

/** Equal words give the same `Party` object, so that ten thousand rules share it. Problems are told each time. */
export function partyResolver(scope: Scope): ResolveParty {
  const known = partiesByName(scope);
  const resolved = new Map<string, Party>();
  return (expr, problem) => {
    const text = formatParty(expr);
    const cached = resolved.get(text);
    const party = cached ?? resolve(expr, text, known, problem);
    if (party && !cached) resolved.set(text, party);
    if (party?.kind === 'guests' && party.endpoints.length === 0) {
      problem({
        code: 'empty-party',
        severity: 'warning',
        message: `\`${text}\` means no guest's NIC at present, so this has no effect; take it out, or give a guest ${text.includes('=') ? 'this label' : 'a network'}.`,
      });
    }
    return party;
  };
}

function resolve(expr: PartyExpr, text: string, known: Known, problem: (problem: PartyProblem) => void): Party | undefined {
  const fail = (code: DiagnosticCode, message: string): undefined => {
    problem({ code, severity: 'error', message });
    return undefined;
  };
  switch (expr.kind) {
    case 'host':
    case 'any':
    case 'internet':
      return { kind: expr.kind, text };
    case 'prefix':
      return { kind: 'prefix', text, prefix: expr.prefix };
    case 'domain':
      return { kind: 'domain', text, domain: expr.domain };
    case 'label':
      return { kind: 'guests', text, endpoints: known.labelled(expr.key, expr.value) };
    case 'name': {
      const entry = known.names.get(expr.name.toLowerCase());
      // Two words with a dot: a NIC where there is such a guest or network, else a domain name.
      if (!entry && expr.nic !== undefined && known.names.get(expr.nic.toLowerCase())?.kind !== 'network')
        return { kind: 'domain', text, domain: text.toLowerCase() };
      if (!entry) return fail('unknown-party', `\`${expr.name}\` is not a guest, network, host or group${known.guess(expr.name)}`);
      if (expr.nic === undefined) {
        return entry.kind === 'host'
          ? { kind: 'named-host', text, host: entry.name }
          : { kind: 'guests', text, endpoints: entry.endpoints };
      }
      // Unless the second word is one of the file's, a domain name may be meant.
      const orDomain =
        nearest(expr.nic, known.all()) === undefined ? ` (the domain name is written \`${text}.\`, with a dot at its end).` : '.';
      if (entry.kind !== 'guest') {
        const message = `\`${expr.name}\` is a ${entry.kind}; only a guest has NICs to choose from, as in \`guest.network\`${orDomain}`;
        return fail('unknown-party', message);
      }
      const nic = entry.nics.find((n) => n.network.toLowerCase() === expr.nic?.toLowerCase());
      const endpoint = nic && known.endpoint(entry.name, nic.index);
      if (endpoint) return { kind: 'guests', text, endpoints: [endpoint] };
      const its = entry.nics.map((n) => n.network).join(', ') || 'none';
      return fail('unknown-party', `the guest \`${entry.name}\` has no NIC in a network \`${expr.nic}\`; its networks: ${its}${orDomain}`);
    }
  }
}

type Named =
  | { readonly kind: 'host'; readonly name: string }
  | { readonly kind: 'network' | 'group'; readonly name: string; readonly endpoints: readonly EndpointRef[] }
  | {
      readonly kind: 'guest';
      readonly name: string;
      readonly nics: Scope['guests'][number]['nics'];
      readonly endpoints: readonly EndpointRef[];
    };

interface Known {
  /** By lower-case name. */
  readonly names: ReadonlyMap<string, Named>;
  /** As written. */
  all(): readonly string[];
  guess(wrong: string): string;
  labelled(key: string, value: string): readonly EndpointRef[];
  endpoint(guest: string, index: number): EndpointRef | undefined;
}

function partiesByName(scope: Scope): Known {
  const names = new Map<string, Named>();
  const inNetwork = new Map<string, EndpointRef[]>();
  const labelled = new Map<string, EndpointRef[]>();
  for (const host of scope.hosts) names.set(host.name.toLowerCase(), { kind: 'host', name: host.name });
  for (const network of scope.networks) {
    const endpoints: EndpointRef[] = [];
    inNetwork.set(network.name.toLowerCase(), endpoints);
    names.set(network.name.toLowerCase(), { kind: 'network', name: network.name, endpoints });
  }
  for (const guest of scope.guests) {
    const endpoints = guest.nics.map((nic) => ({ guest: guest.name, nic: nic.index }));
    names.set(guest.name.toLowerCase(), { kind: 'guest', name: guest.name, nics: guest.nics, endpoints });
    for (const [label, content] of Object.entries(guest.labels)) {
      const list = labelled.get(`${label}=${content}`);
      if (list) list.push(...endpoints);
      else labelled.set(`${label}=${content}`, [...endpoints]);
    }
    for (const [i, nic] of guest.nics.entries()) {
      const endpoint = endpoints[i];
      if (endpoint) inNetwork.get(nic.network.toLowerCase())?.push(endpoint);
    }
  }
  const nics = (guest: string): readonly EndpointRef[] => {
    const entry = names.get(guest.toLowerCase());
    return entry?.kind === 'guest' ? entry.endpoints : [];
  };
  for (const group of scope.groups) {
    names.set(group.name.toLowerCase(), { kind: 'group', name: group.name, endpoints: group.endpoints ?? group.guests.flatMap(nics) });
  }
  const all = (): string[] => [...names.values()].map((entry) => entry.name);
  return {
    names,
    all,
    guess: guesser(all),
    labelled: (label, content) => labelled.get(`${label}=${content}`) ?? [],
    endpoint: (guest, index) => nics(guest).find((endpoint) => endpoint.nic === index),
  };
}
