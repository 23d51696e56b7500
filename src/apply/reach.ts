/**
 * What a fabric lets through, as flow texts, so that `plan` can say what opens and what closes. By rules and defaults, not by
 * proof: a rule that another one covers already still counts.
 */
import type { Fabric } from '../fabric/model.ts';

export interface Reach {
  /** Flows of `allow` rules and of defaults (egress, from-host). */
  readonly allowed: readonly string[];
  /** Flows of `block` rules. */
  readonly blocked: readonly string[];
}

export interface ReachDifference {
  readonly opened: readonly string[];
  readonly closed: readonly string[];
}

export const nothingReaches: Reach = { allowed: [], blocked: [] };

export function reachOf(fabric: Fabric, host: string): Reach {
  const allowed = new Set(fabric.allow.map((rule) => rule.text));
  const networks = new Map(fabric.networks.map((network) => [network.name, network]));
  for (const guest of fabric.guests) {
    if (guest.host !== undefined && guest.host !== host) continue;
    for (const nic of guest.nics) {
      const network = networks.get(nic.network);
      if (!network) continue;
      if (network.kind === 'nat' && nic.egress === 'allow') allowed.add(`${guest.name} -> internet`);
      if (network.fromHost === 'allow') allowed.add(`host -> ${guest.name}`);
      if (network.filter === 'off') allowed.add(`any -> ${guest.name}`);
    }
  }
  return { allowed: [...allowed].sort(), blocked: fabric.block.map((rule) => rule.text).sort() };
}

export function compareReach(before: Reach, after: Reach): ReachDifference {
  const missing = (from: readonly string[], other: readonly string[]): string[] => {
    const there = new Set(other);
    return from.filter((text) => !there.has(text));
  };
  return {
    opened: [...missing(after.allowed, before.allowed), ...missing(before.blocked, after.blocked)],
    closed: [...missing(before.allowed, after.allowed), ...missing(after.blocked, before.blocked)],
  };
}
