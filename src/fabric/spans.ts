/**
 * Places of guests and rules, looked up when somebody asks: few of many are ever asked for, and in files the quick reader does not
 * take the first question costs a second reading.
 */
import type { ConfigFile, Path } from '../config/model.ts';
import type { Span } from '../diagnostic/diagnostic.ts';

/**
 * Gives objects an own, enumerable `span`: copies and JSON have it as if it were stored. One getter serves all objects; a getter
 * in each object literal costs 500 bytes each (V8 then makes a hidden class for every object; measured with Node 24).
 */
export function spanGiver(
  config: ConfigFile,
  part: 'key' | 'value',
): <T extends object>(target: T, path: Path) => T & { readonly span: Span } {
  const paths = new WeakMap<object, Path>();
  const span: PropertyDescriptor & ThisType<object> = {
    enumerable: true,
    get() {
      return config.span(paths.get(this) ?? [], part);
    },
  };
  return (target, path) => {
    paths.set(target, path);
    return Object.defineProperty(target, 'span', span) as typeof target & { readonly span: Span };
  };
}
