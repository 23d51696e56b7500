/**
 * Domain names as destinations: where in a rule one can stand, how wide it may be, and whether the guest asks Weft's resolver at all, without whose answers
 * nothing is opened (docs/names-as-destinations.md).
 */
import type { NicDraft } from './drafts.ts';
import type { Guests } from './guests.ts';
import type { Party } from './model.ts';
import type { Problems } from './problems.ts';
import { placeOf, type ResolvedParty } from './sides.ts';

export interface DomainRule {
  readonly action: 'allow' | 'block';
  readonly from: readonly ResolvedParty[];
  readonly to: readonly ResolvedParty[];
}

interface DomainContext {
  readonly guests: Guests;
  readonly problems: Problems;
  /** The fabric's own domain, lower case. */
  readonly domain: string;
}

type DomainParty = ResolvedParty & { readonly party: Party & { readonly kind: 'domain' } };

const isDomainParty = (side: ResolvedParty): side is DomainParty => side.party.kind === 'domain';

/** Codes: `bad-domain` (error), `domain-unheard` (warning). */
export function checkDomains(context: DomainContext, { action, from, to }: DomainRule): void {
  const { problems } = context;
  const refuse = (side: DomainParty, message: string): void => problems.error('bad-domain', placeOf(side.expr, side.path), message);
  for (const side of from.filter(isDomainParty))
    refuse(
      side,
      `\`${side.party.text}\` is a domain name, which can only stand behind \`->\`: a packet says from which address it comes and not from which name; write the addresses instead.`,
    );
  const names = to.filter(isDomainParty);
  for (const side of names) {
    const why = action === 'block' ? byNameBlocksNobody(side.party.text) : tooWide(side.party, context.domain);
    if (why !== undefined) refuse(side, why);
  }
  const first = names[0];
  if (first && action === 'allow') warnUnheard(context, from, first.party.text);
}

const byNameBlocksNobody = (text: string): string =>
  `\`${text}\` is a domain name, which \`block\` cannot have: who knows the address need not ask for the name; block its addresses, or set \`egress: deny\` and allow the names that are wanted.`;

function tooWide({ text, domain }: DomainParty['party'], own: string): string | undefined {
  const base = domain.replace(/^\*\./, '');
  if (!base.includes('.') && base !== own)
    return `\`${text}\` stands for every name of a top-level domain, which anybody can have; write at least two labels behind the star, such as \`*.example.${base}\`, or \`internet\`.`;
  if (base === own || base.endsWith(`.${own}`))
    return `\`${text}\` is a name of this fabric itself; write the guest, network or host that is meant.`;
  return undefined;
}

/** The guest asks the server of its default NIC, for all its NICs. */
function warnUnheard({ guests, problems }: DomainContext, from: readonly ResolvedParty[], domain: string): void {
  for (const side of from) {
    if (side.party.kind !== 'guests') continue;
    for (const { guest: name } of side.party.endpoints) {
      const nics = guests.get(name.toLowerCase())?.nics ?? [];
      const nic = nics.find((one) => one.isDefault);
      // That one is an error already (`isolated-internet`).
      const shut = nics.every(({ network }) => network?.entry.kind === 'isolated');
      const why = nic && !shut ? unheardOf(nic) : undefined;
      if (why === undefined) continue;
      problems.warning(
        'domain-unheard',
        placeOf(side.expr, side.path),
        `\`${name}\` ${why}, so \`${domain}\` opens nothing for it: only what Weft's own resolver answers does.`,
      );
      return;
    }
  }
}

function unheardOf({ entry, network, outer }: NicDraft): string | undefined {
  if (network?.entry.kind === 'isolated')
    return `asks for names on the isolated network \`${network.name}\`, where nobody outside is asked`;
  if (outer !== undefined) return undefined;
  const servers = entry.dns ?? [];
  // The guests of a bridged network are told of these themselves; its gateway is not Weft's.
  const told = network?.entry.kind === 'bridged' ? (network.entry.dns ?? []) : [];
  if (servers.length === 0)
    return told.length === 0 ? undefined : `asks the \`dns: ${told.join(', ')}\` of its network \`${network?.name}\` itself`;
  const gateways = network?.entry.kind === 'bridged' ? [] : [network?.v4?.gateway, network?.v6?.gateway];
  return servers.some((server) => gateways.includes(server)) ? undefined : `has its own \`dns: ${servers.join(', ')}\``;
}
