/**
 * Records that an earlier Weft has written lack what came later. It is put in on reading, here and nowhere else, with the value that says "there was no such thing yet",
 * so that everything behind sees records of today only. Optional fields need nothing: absent says the same.
 */
import type { AppliedRecord } from './store.ts';

type Later<T, K extends keyof T> = Omit<T, K> & Partial<Pick<T, K>>;
type Facts = AppliedRecord['facts'];
type Uplink = NonNullable<Facts['uplink']>;

/** A record as any Weft since the first may have written it. A field that is added to a record's types and is not optional has to be named here. */
export interface StoredRecord extends Omit<AppliedRecord, 'fabric' | 'facts' | 'state'> {
  readonly fabric: Later<AppliedRecord['fabric'], 'publish'>;
  readonly facts: Omit<Later<Facts, 'interfaces'>, 'uplink' | 'features'> & {
    readonly uplink?: Later<Uplink, 'mac' | 'gateways'>;
    readonly features: Later<Facts['features'], 'bridgeNetfilter'>;
  };
  readonly state: Later<AppliedRecord['state'], 'modules' | 'enslaved' | 'proxies'>;
}

export function ofToday(stored: StoredRecord): AppliedRecord {
  const { fabric, facts, state } = stored;
  const { uplink, ...known } = facts;
  return {
    ...stored,
    fabric: { publish: [], ...fabric },
    facts: {
      interfaces: [],
      ...known,
      // Nothing that such a record's file could say depends on these three.
      ...(uplink === undefined ? {} : { uplink: { mac: '', gateways: [], ...uplink } }),
      features: { bridgeNetfilter: false, ...facts.features },
    },
    state: { modules: [], enslaved: [], proxies: [], ...state },
  };
}
