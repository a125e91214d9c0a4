/** The name, cited. */
export function Wordmark() {
  return (
    <h1 class="wordmark">
      <a href="#" aria-label="askdocs, runs on Motet">
        <span class="name">askdocs<sup>1</sup></span>
        <span class="runs-on">runs on Motet</span>
      </a>
    </h1>
  );
}
