/** The two questions every reader of foreign JSON asks first. */

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The string, or '' for anything else. */
export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
