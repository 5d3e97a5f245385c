import { useRoute } from "preact-iso";
import { api, take } from "../api/client";
import { href } from "../lib/query";
import { Stat } from "../ui/page";
import { Empty } from "../ui/empty";
import { CallTable } from "./calls";
import { NamedPage } from "./named-page";

export function ClientPage() {
  const client = useRoute().params["client"] ?? "";
  return (
    <NamedPage
      kind="client"
      name={client}
      load={(signal) => take(api.GET("/api/v1/clients/{client}", { params: { path: { client } }, signal }))}
      about={(data) => `Appeared as ${data.roles.join(" and ") || "no role"}`}
      whenMissing={<ClientCalls client={client} />}
      stat={() => <Stat label="Credentials" value="Show" href={href("/credentials", { client })} />}
    >
      <ClientCalls client={client} />
    </NamedPage>
  );
}

function ClientCalls({ client }: { client: string }) {
  return (
    <>
      <h2>Calls</h2>
      <CallTable of={{ client }} since="" empty={<Empty title="No calls">It placed none and missed none.</Empty>} />
    </>
  );
}
