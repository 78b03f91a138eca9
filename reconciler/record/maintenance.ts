// Keeping the mirror small and quick, beside the work: packs are joined with all their deltas, and the history of a path is indexed.
// Git's own automatic maintenance stays off: its geometric repacking keeps folders whole instead of as deltas, and ends several times larger.
import { messageOf } from "../model/failure.ts";
import type { Git } from "./git.ts";
import { listPacks } from "./pack.ts";
import { observedRef } from "./refs.ts";

export interface MaintenanceOptions {
  readonly git: Git;
  readonly onNotice: (message: string) => void;
  /** Called when the record has grown beyond `archiveBytes`. */
  readonly archive: () => Promise<void>;
  readonly archiveBytes?: number;
  /** Packs from which on they are joined. */
  readonly packsMax?: number;
}

const everyMs = 60_000;
/** A commit a window is 4 packs a minute: they are joined about every ten minutes. */
const packsMaxDefault = 40;
/** A pack of less than this is joined with the others, whatever it costs. */
const smallBytes = 64_000_000;
/** At this share of the largest pack, the others are joined with it; until then, only with each other. */
const growth = 0.5;
const repackTimeoutMs = 3_600_000;
/** Well before the 2 GB at which hosts of repositories become slow, or refuse. */
const archiveBytesDefault = 1_500_000_000;

export class Maintenance {
  private readonly options: MaintenanceOptions;
  private timer: NodeJS.Timeout | null = null;
  private running: Promise<void> | null = null;
  /** Bytes of all packs when the record was measured last. */
  private measured = 0;

  constructor(options: MaintenanceOptions) {
    this.options = options;
  }

  start(): void {
    this.timer ??= setInterval(() => void this.runIfNeeded(), everyMs).unref();
  }

  /** Stops; a run that is under way ends by itself, and does no harm to whoever comes next. */
  stop(): void {
    if (this.timer) clearInterval(this.timer);
    this.timer = null;
  }

  /** Joins packs when there are many. One run at a time. */
  runIfNeeded(): Promise<void> {
    this.running ??= this.check()
      .catch((error: unknown) => this.options.onNotice(`maintenance: ${messageOf(error)}; it is tried again later`))
      .finally(() => {
        this.running = null;
      });
    return this.running;
  }

  private async check(): Promise<void> {
    const { git, packsMax = packsMaxDefault, archiveBytes = archiveBytesDefault } = this.options;
    const packs = await listPacks(git.dir);
    if (packs.length > packsMax) await joinPacks(git);
    const total = packs.reduce((sum, { bytes }) => sum + bytes, 0);
    // What was archived stays in the mirror: only what has been added since can have made the record too large again.
    if (total < this.measured + archiveBytes / 10 || total <= archiveBytes) return;
    this.measured = total;
    if ((await recordBytes(git)) > archiveBytes) await this.options.archive();
  }
}

/** Bytes on the disk of the record since its root. */
async function recordBytes(repository: Git): Promise<number> {
  const args = ["rev-list", "--disk-usage", "--objects", observedRef];
  return Number(await repository.inBackground().run(args, { timeoutMs: repackTimeoutMs }));
}

/**
 * Joins the packs, and indexes commits and the paths that they change. Whoever reads or writes meanwhile is not in the way: nothing
 * that Git cannot reach is dropped, because it may be about to be referred to.
 */
export async function joinPacks(repository: Git): Promise<void> {
  const git = repository.inBackground();
  const [largest, ...others] = await listPacks(git.dir);
  const rest = others.reduce((sum, { bytes }) => sum + bytes, 0);
  const keepsLargest = largest !== undefined && largest.bytes > smallBytes && rest < largest.bytes * growth;
  const keep = keepsLargest ? [`--keep-pack=${largest.name}`] : [];
  const bounds = ["-c", "pack.threads=1", "-c", "pack.windowMemory=256m", "-c", "repack.writeBitmaps=false"];
  const args = [...bounds, "repack", "-a", "-d", "-k", "--quiet", "--no-write-bitmap-index", ...keep];
  await git.run(args, { timeoutMs: repackTimeoutMs });
  await git.run(["commit-graph", "write", "--reachable", "--changed-paths", "--no-progress"], {
    timeoutMs: repackTimeoutMs,
  });
}
