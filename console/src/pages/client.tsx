import { useRoute } from "preact-iso";
import { api, take } from "../api/client";
import { href } from "../lib/query";
import { Stat } from "../ui/page";
import { NamedPage } from "./named-page";

export function ClientPage() {
  const client = useRoute().params["client"] ?? "";
  return (
    <NamedPage
      kind="client"
      name={client}
      load={(signal) => take(api.GET("/api/v1/clients/{client}", { params: { path: { client } }, signal }))}
      about={(data) => `Appeared as ${data.roles.join(" and ") || "no role"}`}
      stat={() => <Stat label="Credentials" value="Show" href={href("/credentials", { client })} />}
    />
  );
}
