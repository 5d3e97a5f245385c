import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

export interface FieldProps {
  label: string;
  help?: ComponentChildren;
  problem?: string | undefined;
}

/** A line to type into, with its label, its help and what is wrong with it. */
export function TextField(
  props: FieldProps & {
    value: string;
    onInput: (value: string) => void;
    type?: "text" | "password" | "url" | "number" | "datetime-local" | "email";
    autocomplete?: string;
    isRequired?: boolean;
    hasFocus?: boolean;
    placeholder?: string;
    minLength?: number;
  },
) {
  const id = useId();
  // The types of elements want one of them.
  const type = (props.type ?? "text") as "text";
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      <input
        id={id}
        class="input"
        type={type}
        value={props.value}
        required={props.isRequired ?? false}
        autocomplete={props.autocomplete ?? "off"}
        placeholder={props.placeholder ?? ""}
        {...(props.minLength && { minLength: props.minLength })}
        aria-describedby={`${id}-help`}
        autofocus={props.hasFocus ?? false}
        onInput={(event) => props.onInput(event.currentTarget.value)}
      />
      <Below id={`${id}-help`} {...props} />
    </div>
  );
}

export function SelectField(
  props: FieldProps & { value: string; onChange: (value: string) => void; of: [string, string][] },
) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      <select
        id={id}
        class="input"
        value={props.value}
        aria-describedby={`${id}-help`}
        onChange={(event) => props.onChange(event.currentTarget.value)}
      >
        {props.of.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
      <Below id={`${id}-help`} {...props} />
    </div>
  );
}

export function CheckField(props: {
  label: ComponentChildren;
  help?: ComponentChildren;
  isChecked: boolean;
  onChange: (isChecked: boolean) => void;
}) {
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={props.isChecked}
        onChange={(event) => props.onChange(event.currentTarget.checked)}
      />
      <span class="field">
        <span>{props.label}</span>
        {props.help && <span class="help">{props.help}</span>}
      </span>
    </label>
  );
}

function Below({ id, help, problem }: { id: string; help?: ComponentChildren; problem?: string | undefined }) {
  if (problem) {
    return (
      <div id={id} class="problem">
        {problem}
      </div>
    );
  }
  return help ? (
    <div id={id} class="help">
      {help}
    </div>
  ) : null;
}
