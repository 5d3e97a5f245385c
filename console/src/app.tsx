import { useEffect, useState } from "preact/hooks";
import { LocationProvider, Route, Router } from "preact-iso";
import { loadIdentity } from "./api/auth";
import { identity } from "./api/identity";
import { useStore } from "./lib/store";
import { Gate } from "./pages/gate";
import { NotFound } from "./pages/not-found";
import { SessionPage } from "./pages/session";
import { Sessions } from "./pages/sessions";
import { SignIn } from "./pages/sign-in";
import { Welcome } from "./pages/welcome";
import { Shell } from "./shell/shell";
import { ErrorNote } from "./ui/note";

/** The console: who is signed in decides whether there is anything but the door. */
export function App() {
  const who = useStore(identity);
  const [error, setError] = useState<unknown>(undefined);
  const load = () => {
    setError(undefined);
    loadIdentity().catch(setError);
  };
  useEffect(() => {
    if (window.location.pathname !== "/welcome") load();
    else identity.set({ state: "signed-out" });
  }, []);
  if (error !== undefined) {
    return (
      <Gate title="No answer">
        <ErrorNote error={error} retry={load} />
      </Gate>
    );
  }
  if (who.state === "unknown") return null;
  if (who.state === "signed-out") return window.location.pathname === "/welcome" ? <Welcome /> : <SignIn />;
  return (
    <LocationProvider>
      <Shell me={who.me}>
        <Router>
          <Route path="/sessions" component={Sessions} />
          <Route path="/sessions/:id" component={SessionPage} />
          <Route default component={NotFound} />
        </Router>
      </Shell>
    </LocationProvider>
  );
}
