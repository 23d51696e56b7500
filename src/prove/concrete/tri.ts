/** Answers of a match: yes, no, or maybe where the packet, the set or the expression is not known well enough. A guess would be worse than no answer. */
export type Tri = 'yes' | 'no' | 'maybe';

export const not = (value: Tri): Tri => (value === 'yes' ? 'no' : value === 'no' ? 'yes' : 'maybe');

export const tri = (holds: boolean): Tri => (holds ? 'yes' : 'no');

/** Of several conditions that all have to hold. */
export function every(values: readonly Tri[]): Tri {
  return values.includes('no') ? 'no' : values.includes('maybe') ? 'maybe' : 'yes';
}

/** Of several conditions of which one is enough. */
export function some(values: readonly Tri[]): Tri {
  return values.includes('yes') ? 'yes' : values.includes('maybe') ? 'maybe' : 'no';
}
