/**
 * What `config/` hands to `fabric/`: the file as validated, plain data in file order, with flows parsed and addresses
 * in canonical text, but with names unresolved and defaults not applied. Places are asked for by path, only when a problem needs them.
 */
import type { Span } from '../diagnostic/diagnostic.ts';
import type { FlowExpr, PartyExpr, Ports } from './flow.ts';

/** Path of keys and indices into the YAML document, e.g. ['guests', 'db', 'address']. */
export type Path = readonly (string | number)[];

export interface ConfigFile {
  /** As the user wrote it on the command line, for messages. */
  readonly path: string;
  /** Directory the file is in, absolute; weft.lock lies there. */
  readonly directory: string;
  readonly text: string;
  readonly model: FileModel;
  /**
   * The place of a value, or of its key; the parent's place for a missing key. A path that leads on beyond a scalar, as into a list of which only one is written, has
   * the scalar's place. `offset`/`length` narrow it inside a scalar.
   */
  span(path: Path, part?: 'key' | 'value', within?: { readonly offset: number; readonly length: number }): Span;
}

export type Egress = { readonly kind: 'allow' | 'deny' } | { readonly kind: 'via'; readonly host: string };

export interface HostEntry {
  readonly uplink?: string;
  /** Canonical address texts. */
  readonly address?: readonly string[];
  /** At most one per family. */
  readonly gateway?: readonly string[];
  readonly manage?: boolean;
  readonly macs?: readonly string[];
  readonly behind?: 'nat';
}

interface NetworkCommon {
  readonly host?: string;
  readonly dns?: readonly string[];
  readonly mtu?: number;
  readonly filter?: 'on' | 'off';
  readonly fromHost?: 'allow' | 'deny';
  readonly egress?: Egress;
}

export type NetworkEntry =
  | (NetworkCommon & {
      readonly kind: 'nat' | 'isolated';
      /** Canonical CIDR texts, at most one per family. */
      readonly subnet: readonly string[];
      /** At most one per family. */
      readonly gateway?: readonly string[];
      readonly range?: { readonly from: string; readonly to: string };
      /** nat only. */
      readonly snat?: string;
    })
  | (NetworkCommon & {
      readonly kind: 'bridged';
      readonly interface: string;
      readonly subnet?: readonly string[];
      readonly gateway?: readonly string[];
      readonly range?: { readonly from: string; readonly to: string };
    })
  | (NetworkCommon & { readonly kind: 'routed'; readonly addresses: readonly string[]; readonly bootstrap?: string });

export interface NicEntry {
  readonly network: string;
  /** At most one per family. */
  readonly address?: readonly string[];
  readonly mac?: string;
  readonly dns?: readonly string[];
  readonly default?: boolean;
}

export interface GuestEntry {
  readonly kind?: 'vm' | 'container' | 'namespace';
  /** Short form, `network:` form and `nics:` form all end here; [] for `network: none`. */
  readonly nics: readonly NicEntry[];
  /** Path of each NIC's own keys: ['guests', name] for the short forms, ['guests', name, 'nics', i] otherwise. */
  readonly nicPaths: readonly Path[];
  /** `inside: vm1`: no NIC of its own; `nics` then has exactly one entry, behind the outer guest's port. */
  readonly inside?: string;
  readonly user?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly egress?: Egress;
  readonly log?: 'dropped';
}

export type GroupEntry =
  /** `long`: written under `members:`, not as the list that a group can be by itself. */
  | { readonly members: readonly string[]; readonly long?: true; readonly egress?: Egress }
  | { readonly label: { readonly key: string; readonly value: string }; readonly egress?: Egress };

export interface RuleEntry {
  readonly flow: FlowExpr;
  readonly log: boolean;
  readonly why?: string;
  /** Where the flow's text stands: the string itself, or the object for the long form. */
  readonly path: Path;
}

export interface PublishEntry {
  /** A host's name or an address. */
  readonly at: string;
  readonly ports: Ports;
  readonly to: string;
  readonly toPorts?: Ports;
  /** Who may use it; undefined: not said. Offsets count from the beginning of the whole text. */
  readonly from?: readonly PartyExpr[];
  /** Where its words begin in the text, in UTF-16 code units. */
  readonly offsets: { readonly at: number; readonly ports: number; readonly to: number; readonly toPorts: number };
  readonly path: Path;
}

export interface LinkEntry {
  readonly kind: 'wireguard';
  readonly hosts: readonly string[];
  readonly subnet?: string;
  readonly port?: number;
}

export interface IngressEntry {
  readonly at: string;
  readonly routes: readonly { readonly domain: string; readonly to: string; readonly ports: Ports; readonly path: Path }[];
}

export type ExpectEntry = { readonly text: string; readonly path: Path } & (
  | { readonly kind: 'can' | 'cannot' | 'only' | 'only-strict'; readonly flow: FlowExpr }
  | { readonly kind: 'via'; readonly flow: FlowExpr; readonly through: string }
  | { readonly kind: 'seen-as'; readonly flow: FlowExpr; readonly address: string }
  | { readonly kind: 'isolated'; readonly network: string }
  | { readonly kind: 'exposed'; readonly flows: readonly FlowExpr[] }
);

/** Records keep the file's order of keys. */
export interface FileModel {
  readonly name?: string;
  readonly domain?: string;
  readonly hosts?: Readonly<Record<string, HostEntry>>;
  readonly networks: Readonly<Record<string, NetworkEntry>>;
  readonly guests: Readonly<Record<string, GuestEntry>>;
  /** `label: role=db` in the file becomes the label form. */
  readonly groups: Readonly<Record<string, GroupEntry>>;
  readonly allow: readonly RuleEntry[];
  readonly block: readonly RuleEntry[];
  readonly publish: readonly PublishEntry[];
  readonly links: Readonly<Record<string, LinkEntry>>;
  readonly ingress?: IngressEntry;
  readonly expect: readonly ExpectEntry[];
}
