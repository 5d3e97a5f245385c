import { useState } from "preact/hooks";
import { changePassword } from "../api/auth";
import { Dialog } from "../ui/dialog";
import { TextField } from "../ui/field";
import { Form } from "../ui/form";
import { say } from "../ui/toast";

export function PasswordDialog({ onClose }: { onClose: () => void }) {
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const run = async () => {
    await changePassword(current, next);
    say("The password is changed. Other browsers are signed out.");
    onClose();
  };
  return (
    <Dialog title="Change the password" onClose={onClose}>
      <Form submit="Change it" run={run} cancel={onClose}>
        <TextField
          label="Current password"
          type="password"
          autocomplete="current-password"
          value={current}
          onInput={setCurrent}
          isRequired
          hasFocus
        />
        <TextField
          label="New password"
          type="password"
          autocomplete="new-password"
          value={next}
          onInput={setNext}
          isRequired
          help="At least 10 characters; a sentence is easiest to remember."
        />
      </Form>
    </Dialog>
  );
}
