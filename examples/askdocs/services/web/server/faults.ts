/**
 * One switch per fault, off by default: to see with one's own eyes how the rest of the system takes it.
 *
 * Set it for a whole run with `FAULT=slow:500ms | failing:0.5 | crashing:0.1 | hanging | wrong`, or while the service runs
 * with `PUT /faults {"mode": "slow", "latency_ms": 500, "rate": 1.0}`. Only `/chat` is affected: the page, the health check
 * and the switch itself never are.
 */

import { Hono, type MiddlewareHandler } from "hono";
import { setTimeout as sleep } from "node:timers/promises";
import { ProblemError } from "./problem.ts";

const MODES = ["off", "slow", "failing", "crashing", "hanging", "wrong"] as const;
const EXIT_CODE = 70;

interface Fault {
  mode: (typeof MODES)[number];
  latency_ms: number;
  /** Share of the requests that it hits, from 0 to 1. */
  rate: number;
}

const OFF: Fault = { mode: "off", latency_ms: 500, rate: 1 };

export class Faults {
  #fault: Fault;

  constructor(text = "") {
    this.#fault = faultFrom(text);
  }

  /** The switch itself, to be mounted at `/faults`. */
  routes(): Hono {
    const routes = new Hono();
    routes.use(async (c, next) => {
      // The gateway sends everything under `/` here. The switch belongs to whoever can reach the instance itself.
      if (c.req.header("x-forwarded-for") ?? c.req.header("forwarded") ?? c.req.header("sec-fetch-site")) return c.notFound();
      return next();
    });
    routes.get("/", (c) => c.json(this.#fault));
    routes.put("/", async (c) => c.json((this.#fault = checked(await c.req.json().catch(() => null)))));
    routes.delete("/", (c) => c.json((this.#fault = OFF)));
    return routes;
  }

  /** Breaks a request in the chosen way before the service sees it. */
  middleware(): MiddlewareHandler {
    return async (c, next) => {
      const { mode, latency_ms, rate } = this.#fault;
      if (mode === "off" || Math.random() >= rate) return next();
      if (mode === "crashing") process.exit(EXIT_CODE);
      if (mode === "failing") {
        throw new ProblemError(503, "fault-injected", "A fault is switched on", "This request fails on purpose.");
      }
      if (mode === "wrong") return c.json({ wrong: "on purpose: this is not what the contract says" });
      if (mode === "hanging") return hang(c.req.raw.signal);
      await sleep(latency_ms);
      return next();
    };
  }
}

function hang(gone: AbortSignal): Promise<never> {
  return new Promise((_, reject) => gone.addEventListener("abort", () => reject(gone.reason), { once: true }));
}

/** Reads `mode`, `slow:500ms` or `failing:0.5`. */
function faultFrom(text: string): Fault {
  const [mode = "", value] = text.trim().split(":", 2);
  if (mode === "slow" && value) {
    const latency = /^(\d+(?:\.\d+)?)(ms|s)$/.exec(value);
    if (!latency) throw new Error(`FAULT=${text}: a latency looks like slow:500ms or slow:2s`);
    return checked({ mode, latency_ms: Number(latency[1]) * (latency[2] === "s" ? 1000 : 1) });
  }
  return checked(value ? { mode, rate: Number(value) } : { mode: mode || "off" });
}

function checked(wanted: unknown): Fault {
  const { mode, latency_ms = OFF.latency_ms, rate = OFF.rate } = (wanted ?? {}) as Partial<Fault>;
  if (!mode || !MODES.includes(mode)) throw badFault(`mode is one of ${MODES.join(", ")}`);
  if (!(latency_ms >= 0 && latency_ms <= 600_000)) throw badFault("latency_ms is a number from 0 to 600000");
  if (!(rate >= 0 && rate <= 1)) throw badFault("rate is a number from 0 to 1");
  return { mode, latency_ms, rate };
}

function badFault(detail: string): ProblemError {
  return new ProblemError(400, "bad-fault", "This is not a fault that can be switched on", detail);
}
