/**
 * Everything that plain tools tell of a host, read into typed values and not judged yet: what an observation and a captured document have in common.
 */
import type { NftTable } from '../../hoststate/nft.ts';
import type { SeenAddress, SeenRoute } from '../../hoststate/observe-addresses.ts';
import type { SeenLink } from '../../hoststate/observe-links.ts';
import type { ModelRule } from '../kernel-model.ts';

export interface SeenHost {
  readonly host: string;
  readonly links: readonly SeenLink[];
  readonly addresses: readonly SeenAddress[];
  /** Of all tables and both families. */
  readonly routes: readonly SeenRoute[];
  readonly rules: readonly ModelRule[];
  readonly neighbors: readonly SeenNeighbor[];
  readonly fdb: readonly SeenForwarding[];
  readonly tables: readonly NftTable[];
  /** Keys with slashes. */
  readonly sysctls: Readonly<Record<string, string>>;
  /** Names of the parts that could not be had. */
  readonly missing: readonly string[];
}

/** A neighbour whose MAC is known. */
export interface SeenNeighbor {
  readonly link: string;
  readonly address: string;
  readonly mac: string;
  readonly permanent: boolean;
}

/** Frames for this MAC leave a bridge by that port; `local`: those of other ports are given to the host itself. */
export interface SeenForwarding {
  readonly port: string;
  readonly mac: string;
  readonly local?: true;
}
