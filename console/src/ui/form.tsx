import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { ErrorNote } from "./note";

/** A form whose work may fail: it says so, and is not sent twice. */
export function Form(props: {
  submit: string;
  run: () => Promise<void>;
  children: ComponentChildren;
  cancel?: () => void;
  isDisabled?: boolean;
}) {
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(undefined);
  const run = async (event: Event) => {
    event.preventDefault();
    if (isBusy) return;
    setBusy(true);
    setError(undefined);
    try {
      await props.run();
    } catch (problem) {
      setError(problem);
    }
    setBusy(false);
  };
  return (
    <form class="form" onSubmit={(event) => void run(event)}>
      {props.children}
      {error !== undefined && <ErrorNote error={error} />}
      <div class="dialog-foot">
        {props.cancel && (
          <button type="button" class="button" onClick={props.cancel}>
            Cancel
          </button>
        )}
        <button type="submit" class="button primary" disabled={isBusy || !!props.isDisabled}>
          {props.submit}
        </button>
      </div>
    </form>
  );
}
