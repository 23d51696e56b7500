/**
 * The shape of a guest: its short form (the name of a network), the form with one NIC, the form with `nics`, and addresses `inside` another guest.
 */
import * as z from 'zod';
import * as leaf from './leaves.ts';
import type { IssueParams } from './leaves.ts';
import type { GuestEntry, NicEntry } from './model.ts';
import { entriesOf, mapOf, needs, optional } from './shape.ts';

/** A guest as read; the paths of its NICs are added where its name is known. `numbered`: it has the form with `nics`. */
export type ReadGuest = Omit<GuestEntry, 'nicPaths'> & { readonly numbered: boolean };

const nicKeys = {
  address: optional(
    leaf.onePerFamily(
      leaf.address('Its address. Default: the lowest free one in the range of the network.'),
      leaf.addressPhrase,
      'address',
    ),
  ),
  mac: optional(leaf.mac('Its MAC. Default: derived from the names of fabric and guest.')),
  dns: optional(leaf.oneOrMore(leaf.address('Name server(s) it uses. Default: the gateway of the network.'), leaf.addressPhrase)),
};

const networkName = leaf.name('a network', 'The network it is in; `none` for no interface at all.');

const nic = mapOf(
  'a NIC',
  {
    network: leaf.name('a network', 'The network of this NIC.'),
    ...nicKeys,
    default: optional(leaf.flag('This NIC carries the default route and DNS. Default: the first one does.')),
  },
  '`{ network: internal }`',
);

const long = mapOf('a guest', {
  network: optional(networkName),
  ...nicKeys,
  nics: optional(
    z
      .array(nic, { error: 'a list of NICs such as `- { network: internal }`' })
      .meta({ description: 'Several NICs; in the guest they are eth0, eth1, … in order.' }),
  ),
  inside: optional(leaf.name('a guest', 'Another address behind the port of that guest.')),
  kind: optional(
    leaf.word(['vm', 'container', 'namespace'], 'vm: a TAP (default). container: a veth into a netns. namespace: Weft makes the netns.'),
  ),
  user: optional(leaf.user('The user who may open the TAP without being root; attaching a container takes root.')),
  labels: optional(
    z
      .record(z.string(), leaf.labelValue, { error: 'a map such as { role: db }' })
      .meta({ description: 'Labels by which groups and rules name guests.' })
      .superRefine((labels, ctx) => {
        for (const key of Object.keys(labels)) {
          if (/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/.test(key)) continue;
          const message = `\`${key}\` cannot be the key of a label: letters, digits, \`-\`, \`_\` and \`.\`, at most 63.`;
          ctx.addIssue({ code: 'custom', message, path: [key], params: { code: 'bad-name', part: 'key' } satisfies IssueParams });
        }
      }, entriesOf),
  ),
  egress: optional(leaf.egress('May it open connections to the internet. Default: as its network.')),
  log: optional(leaf.word(['dropped'], 'Log what is dropped from or to this guest, rate-limited.')),
}).superRefine(checkTogether, entriesOf);

/** A guest in any of its forms. */
export const guest = z
  .union([networkName, long], { error: 'the name of a network, or a map with the keys of a guest' })
  .transform((value): ReadGuest => {
    if (typeof value === 'string') return { nics: value === 'none' ? [] : [{ network: value }], numbered: false };
    const { network, address, mac, dns, nics, ...rest } = value;
    if (nics) return { ...rest, nics, numbered: true };
    if (network === undefined || network === 'none') return { ...rest, nics: [], numbered: false };
    const only: NicEntry = { network, ...(address && { address }), ...(mac !== undefined && { mac }), ...(dns && { dns }) };
    return { ...rest, nics: [only], numbered: false };
  });

function checkTogether(value: Readonly<Record<string, unknown>>, ctx: z.core.$RefinementCtx): void {
  const has = (key: string): boolean => Object.hasOwn(value, key);
  const wrong = (key: string, message: string, code: IssueParams['code'] = 'bad-value'): void => {
    ctx.addIssue({ code: 'custom', message, path: [key], params: { code, part: 'key' } satisfies IssueParams });
  };
  if (has('inside')) {
    if (!has('network')) needs(ctx, 'network', 'a guest `inside` another', 'too, to say behind which of its NICs it lies');
    else if (value['network'] === 'none')
      wrong('network', 'a guest `inside` another lies behind one of its NICs; name that network instead of `none`.');
    for (const key of ['nics', 'mac', 'kind', 'user']) {
      if (has(key)) wrong(key, `a guest \`inside\` another has no port of its own, so it cannot have \`${key}\`; leave it out.`);
    }
    return;
  }
  if (has('nics')) {
    if (Array.isArray(value['nics']) && value['nics'].length === 0)
      wrong('nics', 'the list of NICs is empty; write `network: none` for a guest without any.');
    for (const key of ['network', 'address', 'mac', 'dns']) {
      if (has(key)) wrong(key, `a guest with \`nics\` has its \`${key}\` there; move it into the NIC it is meant for.`);
    }
    const defaults = Array.isArray(value['nics'])
      ? value['nics'].flatMap((entry: { default?: unknown }, index) => (entry?.default === true ? [index] : []))
      : [];
    if (defaults.length > 1) {
      const message = 'a second NIC says `default: true`; only one carries the default route.';
      ctx.addIssue({
        code: 'custom',
        message,
        path: ['nics', defaults[1] ?? 0, 'default'],
        params: { code: 'bad-value' } satisfies IssueParams,
      });
    }
    return;
  }
  if (!has('network')) needs(ctx, 'network', 'a guest', '(or `nics` for several); write `network: none` for one without any interface');
  else if (value['network'] === 'none') {
    for (const key of ['address', 'mac', 'dns', 'egress']) {
      if (has(key)) wrong(key, `a guest without a network has no \`${key}\`; leave it out, or name a network.`);
    }
  }
}
