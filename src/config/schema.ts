/**
 * The shape of weft.yaml, said once: the same zod schemas validate the file, turn it into {@link FileModel} and give the JSON Schema
 * (json-schema.ts). What the file means across its parts is `fabric/`'s to judge; here only what one entry says by itself.
 */
import * as z from 'zod';
import * as leaf from './leaves.ts';
import { entriesOf, mapOf, named, needs, optional, section, unknownTogether } from './shape.ts';
import { guest } from './schema-guest.ts';
import { expectation, ingress, link, publish, rule } from './schema-rules.ts';
import type { FileModel, GroupEntry, GuestEntry, HostEntry, NetworkEntry } from './model.ts';

const addresses = (description: string) => leaf.oneOrMore(leaf.address(description), leaf.addressPhrase);

const host = z
  .union(
    [
      mapOf('a host', {
        uplink: optional(leaf.interfaceName('The interface to the outer network. Default: the interface of the default route.')),
        address: optional(addresses('Public address(es) of the host. Default: read from the uplink.')),
        gateway: optional(
          leaf.onePerFamily(
            leaf.address('The next hop of the uplink, on-link whatever its address; for `manage: true` only.'),
            leaf.addressPhrase,
            'gateway',
          ),
        ),
        manage: optional(leaf.flag('Weft sets the uplink up itself: each address alone (/32, /128), and default routes by the gateways.')),
        macs: optional(
          leaf.oneOrMore(leaf.mac('No frame with another source MAC leaves the uplink.'), 'a MAC address such as 52:54:00:aa:00:01'),
        ),
        behind: optional(leaf.word(['nat'], 'The host has no public address: it dials out and keeps its tunnels alive.')),
      }),
      z.null(),
    ],
    { error: 'a map with the keys of a host' },
  )
  .transform((value): HostEntry => value ?? {});

const common = {
  host: optional(leaf.name('a host', 'The host this network lives on. Needed once there are several.')),
  dns: optional(addresses('Name servers for this network. Default: the resolver of the host.')),
  mtu: optional(leaf.whole(576, 65535, 1500, 'MTU of the network, in bytes.')),
  filter: optional(leaf.filter),
  'from-host': optional(leaf.word(['allow', 'deny'], 'May the host open connections to these guests. Default: allow.')),
  egress: optional(leaf.egress('May these guests open connections to the internet. Default: allow, on an isolated network deny.')),
};

const subnet = leaf.onePerFamily(leaf.prefix('The subnet of the guests.'), leaf.prefixPhrase, 'subnet');
const gateway = leaf.onePerFamily(leaf.address('Address of the gateway. Default: the first of the subnet.'), leaf.addressPhrase, 'gateway');

const shared = { ...common, subnet, gateway: optional(gateway), range: optional(leaf.range) };

const network = z
  .discriminatedUnion(
    'kind',
    [
      mapOf('a nat network', {
        kind: z.literal('nat'),
        ...shared,
        snat: optional(leaf.address('Source address outside. Default: masquerade behind the uplink.')),
      }),
      mapOf('an isolated network', { kind: z.literal('isolated'), ...shared }).superRefine((value, ctx) => {
        if (value.egress !== undefined && value.egress.kind !== 'deny') {
          const message = 'an isolated network has no way out; leave `egress` out, or make it `kind: nat`.';
          ctx.addIssue({ code: 'custom', message, path: ['egress'], params: { code: 'bad-value' } });
        }
      }),
      mapOf('a bridged network', {
        kind: z.literal('bridged'),
        ...common,
        interface: leaf.interfaceName('The physical interface of the outer network; em0.10 is a VLAN, made when missing.'),
        subnet: optional(subnet),
        gateway: optional(gateway),
        range: optional(leaf.range),
      }),
      mapOf('a routed network', {
        kind: z.literal('routed'),
        ...common,
        addresses: leaf.oneOrMore(
          leaf.prefix('Public addresses and prefixes routed to the host.', true),
          'an address or prefix such as 203.0.113.8/29',
        ),
        bootstrap: optional(leaf.prefixV4('Private DHCP addresses for installers, source-NATed to the host.')),
      }),
    ],
    {
      error: (issue) =>
        issue.code === 'invalid_union'
          ? '`nat`, `isolated`, `bridged` or `routed`'
          : 'a map with `kind: nat`, `isolated`, `bridged` or `routed`',
    },
  )
  .transform(({ 'from-host': fromHost, ...rest }): NetworkEntry => (fromHost === undefined ? rest : { ...rest, fromHost }));

const members = z.array(leaf.guestRef('A guest, or another group.'), {
  error: 'a list of guests such as [db, web], or `{ label: role=db }`',
});

const group = z
  .union(
    [
      members,
      mapOf('a group', {
        members: optional(members),
        label: optional(leaf.label),
        egress: optional(leaf.egress('May these guests open connections to the internet.')),
      }).superRefine((value, ctx) => {
        if (value.members !== undefined && value.label !== undefined) unknownTogether(ctx, 'members', 'label', 'a group');
        else if (value.members === undefined && value.label === undefined)
          needs(ctx, 'members', 'a group', 'or `label`; write `[db, web]` or `{ label: role=db }`');
      }, entriesOf),
    ],
    { error: 'a list of guests such as [db, web], or `{ label: role=db }`' },
  )
  .transform((value): GroupEntry => {
    if (Array.isArray(value)) return { members: value };
    const egress = value.egress === undefined ? {} : { egress: value.egress };
    return value.label === undefined ? { members: value.members ?? [], long: true, ...egress } : { label: value.label, ...egress };
  });

const rules = (key: 'allow' | 'block', description: string) =>
  section(
    z
      .array(rule, { error: 'a list of flows, each such as `- web -> db tcp/5432`' })
      .meta({ description })
      .transform((list) => list.map((entry, index) => ({ ...entry, path: [key, index] }))),
    [],
  );

/** The whole file. Its output is the model, with the file's order of keys. */
export const fileSchema = mapOf('weft.yaml', {
  name: optional(leaf.name('the fabric', 'The name of the fabric; MACs derive from it. Default: the name of the directory.')),
  domain: optional(leaf.domain('The domain of the guests’ names. Default: weft.internal.')),
  hosts: section(named('a host', host).meta({ description: 'May be left out for a single host, which is then called `host`.' }), undefined),
  networks: section(named('a network', network), {}),
  guests: section(
    named('a guest', guest).transform((entries) => {
      const guests: Record<string, GuestEntry> = {};
      for (const [name, { numbered, ...entry }] of Object.entries(entries)) {
        guests[name] = {
          ...entry,
          nicPaths: entry.nics.map((_, index) => (numbered ? ['guests', name, 'nics', index] : ['guests', name])),
        };
      }
      return guests;
    }),
    {},
  ),
  groups: section(named('a group', group), {}),
  allow: rules('allow', 'Who may talk to whom; everything else between these parties is dropped.'),
  block: rules('block', 'Wins over allow, publish and defaults.'),
  publish: section(
    z
      .array(publish, { error: 'a list such as `- vps tcp/2222 -> web tcp/22`' })
      .transform((list) => list.map((entry, index) => ({ ...entry, path: ['publish', index] }))),
    [],
  ),
  links: section(named('a link', link).meta({ description: 'Encrypted paths between hosts.' }), {}),
  ingress: section(ingress, undefined),
  expect: section(
    z
      .array(expectation, { error: 'a list of expectations such as `- can: web -> db tcp/5432`' })
      .meta({ description: 'Proved on every check, plan and apply.' })
      .transform((list) => list.map(({ key, ...entry }, index) => ({ ...entry, path: ['expect', index, key] }))),
    [],
  ),
})
  .meta({ title: 'weft.yaml', description: 'The networks of the guests on one or several Linux hosts.' })
  .transform((file): FileModel => {
    const {
      hosts,
      ingress: entry,
      networks = {},
      guests = {},
      groups = {},
      allow = [],
      block = [],
      publish: published = [],
      links = {},
      expect = [],
      ...rest
    } = file;
    return {
      ...rest,
      ...(hosts && { hosts }),
      networks,
      guests,
      groups,
      allow,
      block,
      publish: published,
      links,
      ...(entry && { ingress: entry }),
      expect,
    };
  });
