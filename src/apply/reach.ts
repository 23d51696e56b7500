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
  readonly published: readonly PublishedReach[];
}

/** A published port, as the file has it, and as the flow after NAT that it lets through. */
export interface PublishedReach {
  readonly text: string;
  readonly flow: string;
}

export interface ReachDifference {
  readonly opened: readonly string[];
  readonly closed: readonly string[];
  readonly published: readonly PublishedReach[];
  readonly withdrawn: readonly PublishedReach[];
}

export const nothingReaches: Reach = { allowed: [], blocked: [], published: [] };

export function reachOf(fabric: Fabric, host: string): Reach {
  const allowed = new Set(fabric.allow.map((rule) => rule.text));
  const networks = new Map(fabric.networks.map((network) => [network.name, network]));
  for (const guest of fabric.guests) {
    if (guest.host !== undefined && guest.host !== host) continue;
    for (const nic of guest.nics) {
      const network = networks.get(nic.network);
      if (!network) continue;
      if (network.kind !== 'isolated' && nic.egress === 'allow') allowed.add(`${guest.name} -> internet`);
      if (network.fromHost === 'allow') allowed.add(`host -> ${guest.name}`);
      if (network.filter === 'off') allowed.add(`any -> ${guest.name}`);
    }
  }
  const published = fabric.publish.filter((one) => one.host === host).map((one) => ({ text: one.text, flow: one.flow }));
  return { allowed: [...allowed].sort(), blocked: fabric.block.map((rule) => rule.text).sort(), published };
}

function without(all: readonly PublishedReach[], others: readonly PublishedReach[]): PublishedReach[] {
  const texts = new Set(others.map(({ text }) => text));
  return all.filter(({ text }) => !texts.has(text));
}

export function compareReach(before: Reach, after: Reach): ReachDifference {
  const missing = (from: readonly string[], other: readonly string[]): string[] => {
    const there = new Set(other);
    return from.filter((text) => !there.has(text));
  };
  return {
    opened: [...missing(after.allowed, before.allowed), ...missing(before.blocked, after.blocked)],
    closed: [...missing(before.allowed, after.allowed), ...missing(after.blocked, before.blocked)],
    published: without(after.published, before.published),
    withdrawn: without(before.published, after.published),
  };
}
