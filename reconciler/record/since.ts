// Time gone by, for leases: on the clock that counts the longer, because one stands still while a machine sleeps, and the other is set.
export class Since {
  private readonly monotonic = performance.now();
  private readonly wall = Date.now();

  /** Milliseconds since this was made. */
  ms(): number {
    return Math.max(performance.now() - this.monotonic, Date.now() - this.wall);
  }
}
