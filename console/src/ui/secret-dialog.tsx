import type { ComponentChildren } from "preact";
import { CopyButton } from "./copy";
import { Dialog } from "./dialog";

/** Shows a secret this one time. */
export function SecretDialog(props: {
  title: string;
  secret: string;
  children: ComponentChildren;
  onClose: () => void;
}) {
  return (
    <Dialog title={props.title} onClose={props.onClose}>
      <div>{props.children}</div>
      <div class="row">
        <code class="secret" data-secret>
          {props.secret}
        </code>
        <CopyButton text={props.secret} label="Copy it" />
      </div>
      <div class="dialog-foot">
        <button type="button" class="button primary" onClick={props.onClose}>
          I have stored it
        </button>
      </div>
    </Dialog>
  );
}
