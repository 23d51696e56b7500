/** One file of an export. */
export interface ExportedFile {
  /** Without a directory: `10-weft-eth0.network`. */
  readonly name: string;
  /** Ends with a newline. */
  readonly content: string;
}
