/** `npm run screenshots`: pictures of the page at two widths, light and dark, into `screenshots/`. To look at, not to compare. */

import type { Page } from "playwright-core";
import { openBrowser } from "./browser.ts";
import { stage } from "./stage.ts";

const SIZES = { wide: { width: 1280, height: 800 }, narrow: { width: 390, height: 844 } };

const browser = await openBrowser();
for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of ["light", "dark"] as const) {
    const { url, close } = await stage({ pace: 50 }, { pace: 20 });
    const touch = size === "narrow";
    const page = await browser.newPage({ viewport, colorScheme, hasTouch: touch, isMobile: touch });
    page.on("console", (message) => message.type() === "error" && console.error(`page: ${message.text()}`));
    await page.goto(url);
    await page.getByText("Failed").waitFor({ state: "attached" }).catch(() => undefined);
    const shoot = (name: string) => page.screenshot({ path: `screenshots/${size}-${colorScheme}-${name}.png` });
    await walk(page, touch, shoot);
    await page.close();
    await close();
  }
}
await browser.close();

async function walk(page: Page, narrow: boolean, shoot: (name: string) => Promise<unknown>) {
  await page.getByRole("button", { name: "How does Motet restart" }).waitFor();
  await shoot("1-empty");
  await page.getByRole("button", { name: "How does Motet restart" }).click();
  await page.getByText("exponential").first().waitFor();
  await shoot("2-writing");
  await page.getByText("Quoted from the documents").waitFor();
  await shoot("3-answer");
  await page.getByRole("button", { name: "Source 2" }).click();
  await page.getByRole("heading", { name: "Discovery and leases" }).waitFor();
  await page.waitForTimeout(300);
  await shoot("4-passage");
  await page.keyboard.press("Escape");
  await page.getByRole("textbox").fill("Is the search unavailable?");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").waitFor();
  await page.waitForTimeout(300);
  await shoot("5-problem");
  if (narrow) await page.getByRole("button", { name: /^Documents/ }).click();
  await page.locator("input[type=file]").setInputFiles([
    { name: "notes-from-the-review.md", mimeType: "text/markdown", buffer: Buffer.from("# Notes") },
    { name: "empty.txt", mimeType: "text/plain", buffer: Buffer.from("") },
  ]);
  await page.getByText("Not added").waitFor();
  await page.waitForTimeout(300);
  await shoot("6-documents");
  if (!narrow) return;
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Conversations" }).click();
  await page.waitForTimeout(300);
  await shoot("7-conversations");
}
