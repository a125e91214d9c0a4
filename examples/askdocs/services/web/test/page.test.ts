/** The built page in a real browser, with its real back end and fakes for the library and the answerer. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { openBrowser } from "../dev/browser.ts";
import { stage, type Stage } from "../dev/stage.ts";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WIDE = { width: 1280, height: 800 };
const NARROW = { width: 390, height: 844 };

let browser: Browser;
let page: Page;
let system: Stage;
let hungUp: Promise<void>;
let hangUps: number;
let complaints: string[];

before(async () => {
  browser = await openBrowser();
});

after(() => browser.close());

beforeEach(async () => {
  hangUps = 0;
  let onHangUp = () => {};
  hungUp = new Promise((resolve) => {
    onHangUp = () => {
      hangUps++;
      resolve();
    };
  });
  complaints = [];
  system = await stage({ pace: 100 }, { pace: 8, onHangUp });
  page = await browser.newPage({ viewport: WIDE });
  page.setDefaultTimeout(10_000);
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.text().includes("Content Security Policy") && complaints.push(message.text()));
  await page.goto(system.url);
});

afterEach(async () => {
  await page.close();
  await system.close();
  assert.deepEqual(complaints, []);
});

describe("asking", () => {
  test("an answer is written word by word, and a citation opens its passage with the sentence marked", async () => {
    await page.getByRole("button", { name: "How does Motet restart a crashed service?" }).click();
    await page.locator(".answer.writing").waitFor();
    const early = await page.locator(".answer").innerText();
    await page.getByText("Quoted from the documents").waitFor();
    const complete = await page.locator(".answer").innerText();
    assert.ok(early.length < complete.length, "the answer came in one piece");

    const chip = page.getByRole("button", { name: "Source 2: Discovery and leases" });
    await chip.click();
    const passage = page.getByRole("complementary", { name: "Cited passage" });
    await passage.getByRole("heading", { name: "Discovery and leases" }).waitFor();
    assert.match(await passage.locator("mark").innerText(), /^An instance that dies is out of every edge's endpoint set/);
    assert.match((await passage.getByRole("link", { name: "Open the document" }).getAttribute("href")) ?? "", /^\/api\/documents\/doc_5\/content$/);

    await page.keyboard.press("Escape");
    await page.getByRole("complementary", { name: "Documents" }).waitFor();
    assert.ok(await chip.evaluate((element) => element === document.activeElement), "the focus went back to the citation");
  });

  test("Enter asks, Shift+Enter starts a new line, Escape stops the answerer", { timeout: 20_000 }, async () => {
    await page.getByRole("textbox").pressSequentially("one");
    await page.keyboard.press("Shift+Enter");
    await page.getByRole("textbox").pressSequentially("two");
    assert.equal(await page.getByRole("textbox").inputValue(), "one\ntwo");
    await page.keyboard.press("Enter");
    await page.locator(".answer.writing").waitFor();
    await page.keyboard.press("Escape");
    await page.getByText("The answer was stopped here.").waitFor();
    await hungUp;
    assert.equal(hangUps, 1);
    assert.equal(await page.getByRole("textbox").inputValue(), "");
  });

  test("a conversation is still there after a reload, and another one can be started", async () => {
    await ask("What is kept?");
    await page.getByText("Quoted from the documents").waitFor();
    await page.reload();
    await page.getByRole("heading", { name: "What is kept?" }).waitFor();
    await page.getByText("Quoted from the documents").waitFor();
    await page.getByRole("button", { name: "New conversation" }).click();
    await page.getByRole("heading", { name: "What would you like to know?" }).waitFor();
    await page.getByRole("link", { name: "What is kept?" }).click();
    await page.getByText("Quoted from the documents").waitFor();
    await page.getByRole("link", { name: "What is kept?" }).hover();
    await page.getByRole("button", { name: /Delete the conversation/ }).click();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByRole("heading", { name: "What would you like to know?" }).waitFor();
    assert.equal(await page.getByRole("link", { name: "What is kept?" }).count(), 0);
  });

  test("a failure says what to do, and the question can be asked again", async () => {
    await ask("Is the search unavailable?");
    await page.getByRole("alert").getByText("The search is not available right now").waitFor();
    await page.getByRole("button", { name: "Ask again" }).click();
    await page.getByRole("button", { name: "Ask again", disabled: false }).waitFor();
    assert.equal(await page.getByRole("heading", { name: "Is the search unavailable?" }).count(), 1);
  });

  test("an answer that breaks off keeps its beginning and says so", async () => {
    await ask("Will it break?");
    await page.getByRole("alert").getByText("The answer broke off").waitFor();
    assert.match(await page.locator(".answer").innerText(), /^Motet starts a crashed service/);
  });
});

describe("when connections are lost", () => {
  test("the answer says that it broke off, and can be asked for again", async () => {
    await ask("What if it crashes?");
    await page.locator(".answer.writing").waitFor();
    system.cut();
    await page.getByRole("alert").getByText("The answer broke off").waitFor();
    await page.getByRole("button", { name: "Ask again" }).click();
    await page.getByText("Quoted from the documents").waitFor();
  });

  test("the documents are followed again", async () => {
    await page.getByText("This PDF is damaged").waitFor();
    system.cut();
    const form = new FormData();
    form.append("file", new File(["# Later"], "added-meanwhile.md"));
    await fetch(`${system.url}/api/documents`, { method: "POST", body: form });
    await page.getByText("added-meanwhile").waitFor();
  });
});

describe("documents", () => {
  test("a file that is dropped anywhere is added and its state followed", async () => {
    const files = await page.evaluateHandle(() => {
      const transfer = new DataTransfer();
      transfer.items.add(new File(["# Notes"], "notes.md", { type: "text/markdown" }));
      return transfer;
    });
    await page.dispatchEvent("main", "dragover", { dataTransfer: files });
    await page.getByText("Drop to add to the library").waitFor();
    await page.dispatchEvent("main", "drop", { dataTransfer: files });
    const entry = page.getByRole("listitem").filter({ hasText: /^notes/ });
    await entry.getByText("passages, ready").waitFor({ state: "attached" });
    assert.equal(await page.getByText("Drop to add to the library").count(), 0);
  });

  test("a document on its way shows how far it is, and so does the whole", async () => {
    await page.locator("input[type=file]").setInputFiles({ name: "long.md", mimeType: "text/markdown", buffer: Buffer.from("# Long") });
    const entry = page.getByRole("listitem").filter({ hasText: "long" });
    await entry.getByText("16 of 24").waitFor();
    assert.equal(await entry.getByRole("progressbar").getAttribute("value"), "16");
    await page.getByText("16 of 24 passages embedded").waitFor();
    await entry.getByRole("button", { name: "Remove long" }).click();
    await entry.getByRole("button", { name: "Remove it" }).click();
    await page.getByText("16 of 24 passages embedded").waitFor({ state: "detached" });
  });

  test("a file that is refused says why", async () => {
    await page.locator("input[type=file]").setInputFiles({ name: "empty.txt", mimeType: "text/plain", buffer: Buffer.from("") });
    await page.getByText("empty.txt has no content, so there is nothing to read.").waitFor();
    await page.getByRole("button", { name: "Dismiss" }).click();
    assert.equal(await page.getByText("empty.txt").count(), 0);
  });

  test("a document that failed says why, and can be tried again or removed", async () => {
    const entry = page.getByRole("listitem").filter({ hasText: "quarterly-report-broken.pdf" });
    await entry.getByText("This PDF is damaged").waitFor();
    await entry.getByRole("button", { name: "Try again" }).click();
    await entry.getByText(/Waiting|Reading/).waitFor();
    await entry.getByText("This PDF is damaged").waitFor();
    await entry.getByRole("button", { name: "Remove" }).click();
    await entry.getByRole("button", { name: "Remove it" }).click();
    await entry.waitFor({ state: "detached" });
  });
});

describe("for everyone", () => {
  for (const [size, viewport] of Object.entries({ wide: WIDE, narrow: NARROW })) {
    for (const colorScheme of ["light", "dark"] as const) {
      test(`nothing stands in the way of assistive technology, ${size} and ${colorScheme}`, async () => {
        await page.setViewportSize(viewport);
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await page.getByRole("button", { name: /How does Motet restart/ }).waitFor();
        await holds("the empty page");
        await ask("Is it accessible?");
        await page.getByText("Quoted from the documents").waitFor();
        await holds("an answer");
        await page.getByRole("button", { name: "Source 1: Supervision" }).first().click();
        await page.getByRole("heading", { name: "Supervision" }).waitFor();
        await holds("a passage");
        await page.keyboard.press("Escape");
        await ask("Is it unavailable?");
        await page.getByRole("alert").waitFor();
        if (size === "narrow") await page.getByRole("button", { name: /^Documents/ }).click();
        await page.getByText("This PDF is damaged").waitFor();
        await holds("documents and a failure");
      });
    }
  }

  test("on a phone nothing is wider than the screen, and the panels are dialogs", async () => {
    await page.setViewportSize(NARROW);
    await ask(`Where does ${"verylongword".repeat(20)} go?`);
    await page.getByText("Quoted from the documents").waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), NARROW.width);
    await page.getByRole("button", { name: "Conversations" }).click();
    await page.getByRole("dialog", { name: "Conversations" }).getByRole("button", { name: "New conversation" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.getByRole("button", { name: /^Documents, 9/ }).click();
    await page.getByRole("dialog", { name: "Documents" }).getByText("Supervision").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
  });
});

async function ask(question: string): Promise<void> {
  await page.getByRole("textbox").fill(question);
  await page.keyboard.press("Enter");
}

/** No violation that axe calls serious or critical. Its code is evaluated by the debugger, which the page's policy allows. */
async function holds(what: string): Promise<void> {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const { violations } = await (globalThis as unknown as { axe: typeof import("axe-core") }).axe.run(document, { resultTypes: ["violations"] });
    return violations.filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join("\n")}`);
  });
  assert.deepEqual(found, [], what);
}
