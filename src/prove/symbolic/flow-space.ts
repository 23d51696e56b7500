/**
 * Sets of flows of one family, and what a host does to all of them at once. A flow is: where its first packet enters, its source, the
 * destination and destination port AFTER translation (as the file speaks of it), the protocol, and the source port.
 */
import type { Origin } from '../kernel-model.ts';
import type { DecidedBy, SentPacket } from '../packet-model.ts';

/** Handle of a set, valid with the space that made it. Equal sets have equal handles. */
export type FlowSet = number & { readonly flowSet: unique symbol };

export interface PortSpan {
  readonly from: number;
  readonly to: number;
}

/** Of one family. Everything a predicate names has to be among the constants the space was made with, else it throws. */
export interface FlowSpace {
  readonly family: 4 | 6;
  readonly none: FlowSet;
  readonly all: FlowSet;
  and(...sets: readonly FlowSet[]): FlowSet;
  or(...sets: readonly FlowSet[]): FlowSet;
  not(set: FlowSet): FlowSet;
  /** What is in `a` and not in `b`. */
  minus(a: FlowSet, b: FlowSet): FlowSet;
  /** Entering at one of these; origins that the model does not have match nothing. */
  from(origins: Iterable<Origin>): FlowSet;
  /** Union of prefixes or single addresses; those of the other family are left out. */
  source(prefixes: Iterable<string>): FlowSet;
  destination(prefixes: Iterable<string>): FlowSet;
  protocol(numbers: Iterable<number>): FlowSet;
  sport(spans: Iterable<PortSpan>): FlowSet;
  dport(spans: Iterable<PortSpan>): FlowSet;
  /** Source MAC of the frame as it enters. Only in {@link Reachability.entered} does it play a part. */
  mac(macs: Iterable<string>): FlowSet;
  /** Pairs at once, faster than the union of their intersections: (origin, source) for ten thousand ports. */
  fromWithSource(pairs: Iterable<{ readonly origin: Origin; readonly mac?: string; readonly sources: readonly string[] }>): FlowSet;
  /** For any source port: flows of which some (`some`) or every (`every`, of the ephemeral 1024–65535) source port is in the set. */
  anySport(set: FlowSet, quantifier: 'some' | 'every'): FlowSet;
  /** One flow of the set, as readable as possible (well-known ports, guests' own addresses); undefined when it is empty. `destination` is the one after translation. */
  pick(set: FlowSet): SentPacket | undefined;
  contains(set: FlowSet, flow: SentPacket): boolean;
  /** Flows that nothing tells apart from this one; what it does not say may be anything. */
  only(flow: SentPacket): FlowSet;
}

/** `must`: certain, whatever the rules do that are not understood. `may`: possible. `must` is within `may`. */
export interface Tri {
  readonly must: FlowSet;
  readonly may: FlowSet;
}

/** Of one packet: for certain, for certain not, or it depends on what is not modelled. */
export type Answer = 'yes' | 'no' | 'maybe';

export interface Exit {
  /** The interface it leaves by. */
  readonly interface: string;
  /** Source address seen there; undefined: the sender's own. */
  readonly seenAs?: string;
  readonly flows: Tri;
}

export interface Reachability {
  readonly space: FlowSpace;
  /** Arrives where its destination rightfully is (the station's port, the host itself, or outside), also when a sender gives to the host what it could give its neighbour. */
  readonly delivered: Tri;
  /** Delivered as an honest sender sends it, and the reply comes back to where the flow began. */
  readonly answered: Tri;
  /** Flows that leave for the outside, by way out and by the source seen there. */
  readonly exits: readonly Exit[];
  /** Packets (MAC and source as sent) that get past everything before routing: what a forger could make the host believe. */
  readonly entered: Tri;
  /** Of one packet as an honest sender sends it; its MAC is the sender's own. */
  fateOf(packet: SentPacket): { readonly delivered: Answer; readonly answered: Answer };
  /** What is between `must` and `may` of these flows depends on these rules. */
  unknowns(set: FlowSet): readonly DecidedBy[];
  /** A packet as its sender sends it (destination before translation) that becomes one of these flows, if any does. */
  sentAs(set: FlowSet): SentPacket | undefined;
}

/** What questions will name, so that the space can tell it apart. */
export interface Constants {
  readonly prefixes: readonly string[];
  readonly ports: readonly PortSpan[];
  readonly protocols: readonly number[];
  readonly macs: readonly string[];
  /**
   * The sets of machines' addresses that questions speak of, each as a whole. With them, machines that nothing tells apart are looked at as a few of each kind; without, at all
   * of them. A question that names some of a kind and not the others must be among them.
   */
  readonly groups?: readonly (readonly string[])[];
}
