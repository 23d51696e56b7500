/**
 * The end of a sentence about an unknown name: what was probably meant, else what there is.
 */
import { nearest } from '../config/nearest.ts';

/** More names than this are not listed. */
const LISTED = 6;

/** `; did you mean \`web\`?`, or when no name is near `; there are a, b and c.` */
export function didYouMean(wrong: string, known: Iterable<string>): string {
  const names = [...known];
  const guess = nearest(wrong, names);
  if (guess !== undefined) return `; did you mean \`${guess}\`?`;
  if (names.length === 0) return '; the file has none.';
  if (names.length > LISTED) return '; correct the name, or add it to the file.';
  return `; there ${names.length === 1 ? 'is' : 'are'} only ${listed(names)}.`;
}

/** Looking through ten thousand names takes milliseconds; thousands of wrong ones have one cause, which the first show. */
const GUESSES = 20;

/** {@link didYouMean} over names that stay the same, for any number of wrong ones. */
export function guesser(known: () => Iterable<string>): (wrong: string) => string {
  const answers = new Map<string, string>();
  return (wrong) => {
    const answer =
      answers.get(wrong) ?? (answers.size < GUESSES ? didYouMean(wrong, known()) : '; correct the name, or add it to the file.');
    answers.set(wrong, answer);
    return answer;
  };
}

function listed(names: readonly string[]): string {
  const quoted = names.map((name) => `\`${name}\``);
  return quoted.length === 1 ? quoted.join('') : `${quoted.slice(0, -1).join(', ')} and ${quoted.at(-1) ?? ''}`;
}
