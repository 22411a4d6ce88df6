import { key, reach, refusal } from "../server";

/** Asks for the key that the server asks for. */
export function Door() {
  return (
    <form
      class="box door"
      aria-labelledby="door"
      onSubmit={(event) => {
        event.preventDefault();
        const typed = new FormData(event.currentTarget).get("key");
        key.value = typeof typed === "string" ? typed.trim() : "";
        reach.value = "locked";
      }}
    >
      <h2 id="door">This server asks for a key</h2>
      <p>It is kept in this page alone, and gone when you leave.</p>
      <label for="key">Key</label>
      <input id="key" name="key" type="password" autocomplete="off" required />
      <button type="submit">Go on</button>
      {refusal.value ? (
        <p class="wrong" role="alert">
          {refusal.value}
        </p>
      ) : null}
    </form>
  );
}
