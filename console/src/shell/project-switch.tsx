import { chooseProject, project, type Me } from "../api/identity";
import { useStore } from "../lib/store";

/** Which project is looked at, where there is more than one. */
export function ProjectSwitch({ me }: { me: Me }) {
  const chosen = useStore(project);
  if (me.projects.length < 2) return null;
  return (
    <select
      class="input project-switch"
      aria-label="Project"
      value={chosen ?? me.project ?? ""}
      onChange={(event) => chooseProject(event.currentTarget.value)}
    >
      {me.projects.map(({ slug, disabled }) => (
        <option key={slug} value={slug}>
          {disabled ? `${slug} (off)` : slug}
        </option>
      ))}
    </select>
  );
}
