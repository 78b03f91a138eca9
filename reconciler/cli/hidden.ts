// A2: plain data with every text in it gone through by whoever hides secrets. Texts that stand there often are looked at once.

/** A copy of plain data; keys stay as they are. */
export function hiddenIn<T>(value: T, hide: (text: string) => string): T {
  const known = new Map<string, string>();
  const visit = (part: unknown): unknown => {
    if (typeof part === "string") {
      const found = known.get(part) ?? hide(part);
      known.set(part, found);
      return found;
    }
    if (Array.isArray(part)) return part.map(visit);
    if (typeof part !== "object" || part === null) return part;
    return Object.fromEntries(Object.entries(part).map(([key, inner]) => [key, visit(inner)]));
  };
  return visit(value) as T;
}
