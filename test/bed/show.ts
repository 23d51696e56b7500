/** Reads what tests need out of `weft show --json` (design.md section 3). */

export interface ShownNic {
  readonly network: string;
  readonly port: string;
  readonly mac: string;
  readonly addresses: readonly string[];
}

/** The NICs of a guest, as `show` lists them. */
export function nicsOf(shown: unknown, guest: string): readonly ShownNic[] {
  const guests: readonly { name: string; nics: readonly ShownNic[] }[] = (shown as { guests: never[] }).guests;
  const found = guests.find((one) => one.name === guest);
  if (!found) throw new Error(`show lists no guest ${guest}`);
  return found.nics;
}
