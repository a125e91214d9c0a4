/** The name, cited. */
export function Wordmark() {
  return (
    <h1 class="wordmark">
      <a href="#">
        <span class="name">askdocs<sup aria-hidden="true">1</sup></span>{" "}
        <span class="runs-on">runs on Motet</span>
      </a>
    </h1>
  );
}
