/**
 * What somebody else had set on an uplink with `manage: true` was left theirs, and may be gone since: after a reboot, say, without the configuration that had set it.
 * The file wants it all the same, so it is Weft's from then on.
 */
import type { HostFacts } from '../hoststate/model.ts';
import { readFacts } from '../kernel/facts.ts';
import type { ApplyContext } from './context.ts';
import { factsWanted } from './facts.ts';
import { withFacts } from './record.ts';
import type { AppliedRecord } from './store.ts';

type Managed = NonNullable<NonNullable<HostFacts['uplink']>['managed']>;

/** The record, with what has vanished as Weft's to set; the very same where nothing has. Not early in the boot, when others have yet to set theirs. */
export async function withVanished({ kernel, stage }: ApplyContext, applied: AppliedRecord): Promise<AppliedRecord> {
  const { uplink } = applied.facts;
  if (stage === 'early' || uplink?.managed === undefined) return applied;
  const wanted = factsWanted(applied.fabric, applied.state.host, applied.state);
  const now = (await readFacts(kernel, wanted)).uplink?.managed;
  const missing = now && vanished(uplink.managed, now);
  if (now === undefined || missing === undefined) return applied;
  // In the order of the file: the first one is what the host is seen as.
  const all = [...uplink.managed.addresses, ...missing.addresses];
  const addresses = [
    ...now.addresses.filter((address) => all.includes(address)),
    ...all.filter((address) => !now.addresses.includes(address)),
  ];
  const managed = { ...uplink.managed, addresses, gateways: [...uplink.managed.gateways, ...missing.gateways] };
  return withFacts(applied, { ...applied.facts, uplink: { ...uplink, managed } });
}

/** Undefined: nothing is missing. A default route is not missing where another one has taken its place. */
function vanished(was: Managed, now: Managed): Pick<Managed, 'addresses' | 'gateways'> | undefined {
  const addresses = now.addresses.filter((address) => !was.addresses.includes(address));
  const gateways = now.gateways.filter(
    (gateway) => !was.gateways.includes(gateway) && !now.rivals.some(({ prefix }) => prefix.includes(':') === gateway.includes(':')),
  );
  return addresses.length === 0 && gateways.length === 0 ? undefined : { addresses, gateways };
}
