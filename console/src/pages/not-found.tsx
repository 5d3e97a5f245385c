import { Empty } from "../ui/empty";
import { PageHead } from "../ui/page";

export function NotFound() {
  return (
    <>
      <PageHead title="Nothing here" />
      <Empty title="This address leads nowhere">
        The page may have moved. <a href="/">Go to the overview</a>.
      </Empty>
    </>
  );
}
