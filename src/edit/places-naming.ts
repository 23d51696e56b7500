/**
 * Where a guest is named outside its own entry: rules, expectations, groups, published ports, routes and the guests inside it.
 */
import type { Diagnostic, Span } from '../diagnostic/diagnostic.ts';
import type { FlowExpr, PartyExpr } from '../config/flow.ts';
import type { ConfigFile, Path } from '../config/model.ts';

/** Each place with a word on what it is, in the order of the file's sections. */
export function placesNaming(file: ConfigFile, guest: string): NonNullable<Diagnostic['related']> {
  const { model } = file;
  const places: { message: string; span: Span }[] = [];
  const wanted = guest.toLowerCase();
  /** `guest` and `guest.network` name it. */
  const isIt = (name: string): boolean => name.toLowerCase() === wanted || name.toLowerCase().startsWith(`${wanted}.`);
  const note = (message: string, path: Path, within?: { offset: number; length: number }): void => {
    places.push({ message, span: file.span(path, 'value', within) });
  };
  const inParties = (parties: readonly PartyExpr[], message: string, path: Path): void => {
    for (const party of parties) {
      if (party.kind === 'name' && isIt(party.name))
        note(message, path, { offset: party.offset, length: party.length ?? party.name.length });
    }
  };
  const inFlow = (flow: FlowExpr, message: string, path: Path): void => inParties([...flow.from, ...flow.to], message, path);

  for (const [name, other] of Object.entries(model.guests)) {
    if (other.inside !== undefined && isIt(other.inside)) note(`\`${name}\` is inside it`, ['guests', name, 'inside']);
  }
  for (const [name, group] of Object.entries(model.groups)) {
    if (!('members' in group)) continue;
    group.members.forEach((member, index) => {
      if (isIt(member)) note(`it is in the group \`${name}\``, group.long ? ['groups', name, 'members', index] : ['groups', name, index]);
    });
  }
  for (const [section, rules] of Object.entries({ allow: model.allow, block: model.block })) {
    for (const rule of rules) inFlow(rule.flow, `a rule of \`${section}\` names it`, rule.path);
  }
  for (const entry of model.publish) {
    if (isIt(entry.to)) note('it is published', entry.path, { offset: entry.offsets.to, length: entry.to.length });
    inParties(entry.from ?? [], 'it is named in `publish`', entry.path);
  }
  for (const route of model.ingress?.routes ?? []) {
    if (isIt(route.to)) note('a route of `ingress` leads to it', route.path);
  }
  for (const entry of model.expect) {
    if ('flow' in entry) inFlow(entry.flow, 'an expectation names it', entry.path);
    if (
      entry.kind === 'exposed' &&
      entry.flows.some((flow) => [...flow.from, ...flow.to].some((party) => party.kind === 'name' && isIt(party.name)))
    ) {
      note('an expectation names it', entry.path);
    }
  }
  return places;
}
