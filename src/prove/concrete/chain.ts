/** Walks a base chain and the chains it jumps to, rule by rule, in every world that is possible. */
import type { NftChain, NftRule, NftStatement, NftVerdict } from '../../hoststate/nft.ts';
import { isVerdict } from '../../hoststate/nft.ts';
import type { Flight } from './flight.ts';
import { evaluateMatch, lookUpVerdict } from './match.ts';
import { ruleText } from '../rule-text.ts';
import { perform, type Effect } from './statement.ts';
import { doubting, merged, placeKey, stepping, type Spot, type World } from './world.ts';
import type { View } from './value.ts';

/** Everything of a {@link View} but the packet. */
export type Post = Omit<View, 'flight'>;

export interface Passage {
  /** What leaves the base chain alive. */
  readonly passed: readonly World[];
  readonly dropped: readonly Dropped[];
  /** What these rules do to it cannot be followed. */
  readonly lost: readonly Dropped[];
}

export interface Dropped {
  readonly world: World;
  readonly by: Spot;
}

/** Rules (by {@link placeKey}) that are taken as not there when they would drop: for finding what else does. */
export type Spared = ReadonlySet<string>;

export function walkBaseChain(chain: NftChain, world: World, post: Post, spared: Spared): Passage {
  const walk = new ChainWalk(post, spared);
  const { accepted, fallen, dropped, lost } = walk.chain(chain, [world]);
  if (chain.base?.policy !== 'drop') return { passed: merged([...accepted, ...fallen]), dropped, lost };
  const policy: Spot = { ...walk.spot(chain, chain.rules.length), rule: 'policy' };
  if (spared.has(placeKey(policy))) return { passed: merged([...accepted, ...fallen]), dropped, lost };
  const last = fallen.map((one) => ({
    world: stepping(one, { where: walk.where(chain), rule: 'policy', place: policy, effect: 'drop' }),
    by: policy,
  }));
  return { passed: merged(accepted), dropped: [...dropped, ...last], lost };
}

/** Of a chain: accepted for good as far as this base chain goes, out at its end or by return, dropped. */
interface Outcome {
  readonly accepted: World[];
  readonly fallen: World[];
  readonly dropped: Dropped[];
  readonly lost: Dropped[];
}

/** Of a rule: also, on to the next one. */
interface RuleOutcome extends Outcome {
  next: World[];
}

/** Chains cannot call each other deeper (NFT_JUMP_STACK_SIZE). */
const DEEPEST = 16;

class ChainWalk {
  private readonly post: Post;
  private readonly spared: Spared;
  private depth = 0;

  constructor(post: Post, spared: Spared) {
    this.post = post;
    this.spared = spared;
  }

  where(chain: NftChain): string {
    return `${this.post.table.family} ${this.post.table.name} ${chain.name}`;
  }

  spot(chain: NftChain, index: number): Spot {
    const { family, name } = this.post.table;
    const rule = chain.rules[index];
    return { family, table: name, chain: chain.name, index, rule: rule ? ruleText(rule) : '' };
  }

  chain(chain: NftChain, worlds: readonly World[]): Outcome {
    const outcome: Outcome = { accepted: [], fallen: [], dropped: [], lost: [] };
    let live = worlds;
    for (const [index, rule] of chain.rules.entries()) {
      const next: World[] = [];
      for (const world of live) {
        const result = this.rule(chain, index, rule, world);
        outcome.accepted.push(...result.accepted);
        outcome.fallen.push(...result.fallen);
        outcome.dropped.push(...result.dropped);
        outcome.lost.push(...result.lost);
        next.push(...result.next);
      }
      live = merged(next);
      if (live.length === 0) break;
    }
    outcome.fallen.push(...live);
    return { accepted: [...merged(outcome.accepted)], fallen: [...merged(outcome.fallen)], dropped: outcome.dropped, lost: outcome.lost };
  }

  private rule(chain: NftChain, index: number, rule: NftRule, world: World): RuleOutcome {
    const outcome: RuleOutcome = { accepted: [], fallen: [], dropped: [], lost: [], next: [] };
    let inside: World[] = [world];
    for (const statement of rule.statements) {
      const going: World[] = [];
      for (const one of inside) going.push(...this.statement(chain, index, statement, one, outcome));
      inside = going;
      if (inside.length === 0) break;
    }
    outcome.next.push(...inside.map((one) => this.noted(one, chain, index, 'continue', world.flight)));
    // Whatever was in doubt here, it made no difference.
    if (outcome.accepted.length + outcome.fallen.length + outcome.dropped.length + outcome.lost.length === 0 && outcome.next.length > 1) {
      const kinds = merged(outcome.next);
      outcome.next = kinds.map((one) => (kinds.length === 1 ? { ...one, doubts: world.doubts } : one));
    }
    return outcome;
  }

  /** The worlds in which the rule goes on to its next statement; all others are put into the outcome. */
  private statement(chain: NftChain, index: number, statement: NftStatement, world: World, outcome: RuleOutcome): World[] {
    const view: View = { ...this.post, flight: world.flight };
    const doubt = (): World => doubting(world, this.spot(chain, index));
    if ('match' in statement) {
      const holds = evaluateMatch(statement.match, view);
      if (holds === 'yes') return [world];
      if (holds === 'no') {
        outcome.next.push(world);
        return [];
      }
      const doubtful = doubt();
      outcome.next.push(doubtful);
      return [doubtful];
    }
    if ('vmap' in statement) {
      const found = lookUpVerdict(statement.vmap, view);
      if (!found) return this.apply({ kind: 'anything' }, chain, index, doubt(), outcome);
      const certain = found.values.length + (found.none ? 1 : 0) === 1;
      const one = certain ? world : doubt();
      if (found.none) outcome.next.push(one);
      return found.values.flatMap((verdict) => this.apply({ kind: 'verdict', verdict }, chain, index, one, outcome));
    }
    if (isVerdict(statement)) return this.apply({ kind: 'verdict', verdict: statement }, chain, index, world, outcome);
    const effects = perform(statement, view);
    const one = effects.length === 1 && effects[0]?.kind !== 'anything' && effects[0]?.kind !== 'lost' ? world : doubt();
    return effects.flatMap((effect) => this.apply(effect, chain, index, one, outcome));
  }

  private apply(effect: Effect, chain: NftChain, index: number, world: World, outcome: RuleOutcome): World[] {
    switch (effect.kind) {
      case 'next':
        return [effect.flight === undefined ? world : { ...world, flight: effect.flight }];
      case 'break':
        outcome.next.push(world);
        return [];
      case 'anything':
        // Not understood: it may accept, drop, return, or go on.
        outcome.accepted.push(this.noted(world, chain, index, 'not understood'));
        outcome.fallen.push(world);
        this.drop(chain, index, world, outcome);
        return [world];
      case 'lost':
        outcome.lost.push({ world: this.noted(world, chain, index, 'not understood'), by: this.spot(chain, index) });
        return [];
      case 'translated':
        outcome.accepted.push(this.noted({ ...world, flight: effect.flight }, chain, index, effect.text, world.flight));
        return [];
      case 'dropped':
        this.drop(chain, index, world, outcome);
        return [];
      case 'verdict':
        // Of all verdicts only this one leaves the rest of the rule to be done (nft_do_chain).
        if ('continue' in effect.verdict) return [world];
        this.verdict(effect.verdict, chain, index, world, outcome);
        return [];
    }
  }

  private verdict(verdict: NftVerdict, chain: NftChain, index: number, world: World, outcome: RuleOutcome): void {
    if ('accept' in verdict) outcome.accepted.push(this.noted(world, chain, index, 'accept'));
    else if ('drop' in verdict) this.drop(chain, index, world, outcome);
    else if ('return' in verdict) outcome.fallen.push(this.noted(world, chain, index, 'return'));
    else if (!('continue' in verdict)) {
      const jumps = 'jump' in verdict;
      const target = jumps ? verdict.jump.target : verdict.goto.target;
      const inner = this.post.table.chains.find(({ name }) => name === target);
      if (!inner || this.depth >= DEEPEST) {
        this.apply({ kind: 'anything' }, chain, index, doubting(world, this.spot(chain, index)), outcome);
        return;
      }
      this.depth++;
      const result = this.chain(inner, [this.noted(world, chain, index, `${jumps ? 'jump' : 'goto'} ${target}`)]);
      this.depth--;
      outcome.accepted.push(...result.accepted);
      outcome.dropped.push(...result.dropped);
      outcome.lost.push(...result.lost);
      // After a jump the next rule follows; after a goto the chain that was left is left for good.
      (jumps ? outcome.next : outcome.fallen).push(...result.fallen);
    }
  }

  private drop(chain: NftChain, index: number, world: World, outcome: RuleOutcome): void {
    const by = this.spot(chain, index);
    if (this.spared.has(placeKey(by))) outcome.next.push(world);
    else outcome.dropped.push({ world: this.noted(world, chain, index, 'drop'), by });
  }

  private noted(world: World, chain: NftChain, index: number, effect: string, before?: Flight): World {
    const place = this.spot(chain, index);
    const changed = before !== undefined && before !== world.flight ? { packet: world.flight } : {};
    return stepping(world, { where: this.where(chain), rule: place.rule, place, effect, ...changed });
  }
}
