import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Dialog } from "./dialog";
import { ErrorNote } from "./note";

/** A button for what cannot be undone: it asks first, in words that say what will happen. */
export function ConfirmButton(props: {
  label: ComponentChildren;
  title: string;
  /** What happens, in a sentence or two. */
  consequence: ComponentChildren;
  action: string;
  isSmall?: boolean;
  run: () => Promise<void>;
}) {
  const [isOpen, setOpen] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(undefined);
  const run = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await props.run();
      setOpen(false);
    } catch (problem) {
      setError(problem);
    }
    setBusy(false);
  };
  return (
    <>
      <button type="button" class={`button danger ${props.isSmall ? "small" : ""}`} onClick={() => setOpen(true)}>
        {props.label}
      </button>
      {isOpen && (
        <Dialog title={props.title} onClose={() => setOpen(false)}>
          <div>{props.consequence}</div>
          {error !== undefined && <ErrorNote error={error} />}
          <div class="dialog-foot">
            <button type="button" class="button" onClick={() => setOpen(false)}>
              Cancel
            </button>
            <button type="button" class="button danger" disabled={isBusy} onClick={() => void run()}>
              {props.action}
            </button>
          </div>
        </Dialog>
      )}
    </>
  );
}
