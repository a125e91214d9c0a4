/** What the service is told through its environment. Motet sets all of it; see `README.md` for running it alone. */

export interface Settings {
  port: number;
  /** Base URL of the answerer, as this service's own edge to it. */
  answererUrl: string;
  /** The service's own SQLite file. */
  databasePath: string;
  /** A fault to start with, such as `slow:500ms`; empty for none. */
  fault: string;
}

export function settingsFrom(env: NodeJS.ProcessEnv): Settings {
  return {
    port: Number(required(env, "PORT", "the port to listen on")),
    answererUrl: required(env, "ANSWERER_URL", "where to ask questions").replace(/\/+$/, ""),
    databasePath: required(env, "DATABASE_PATH", "the SQLite file for the conversations"),
    fault: env["FAULT"] ?? "",
  };
}

function required(env: NodeJS.ProcessEnv, name: string, purpose: string): string {
  const value = env[name];
  if (!value) throw new Error(`set ${name}: ${purpose}`);
  return value;
}
