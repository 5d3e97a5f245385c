import { useEffect, useState } from "preact/hooks";
import { ErrorBoundary, lazy, LocationProvider, Route, Router } from "preact-iso";
import { loadIdentity } from "./api/auth";
import { identity } from "./api/identity";
import { useStore } from "./lib/store";
import { Audit } from "./pages/audit";
import { CallPage } from "./pages/call";
import { Calls } from "./pages/calls";
import { ClientPage } from "./pages/client";
import { Clients } from "./pages/clients";
import { CredentialPage } from "./pages/credential";
import { Credentials } from "./pages/credentials";
import { Failures } from "./pages/failures";
import { Gate } from "./pages/gate";
import { NotFound } from "./pages/not-found";
import { RoomPage } from "./pages/room";
import { Registrations } from "./pages/registrations";
import { Rooms } from "./pages/rooms";
import { Sessions } from "./pages/sessions";
import { Tokens } from "./pages/tokens";
import { Users } from "./pages/users";
import { WebhookPage } from "./pages/webhook";
import { Webhooks } from "./pages/webhooks";
import { Settings } from "./pages/settings";
import { SignIn } from "./pages/sign-in";
import { Welcome } from "./pages/welcome";
import { Shell } from "./shell/shell";
import { ErrorNote } from "./ui/note";
import { say } from "./ui/toast";

// Pages with charts or a lot of their own come when they are asked for.
const Aws = lazy(() => import("./pages/aws").then((module) => module.Aws));
const Check = lazy(() => import("./pages/check").then((module) => module.Check));
const Overview = lazy(() => import("./pages/overview").then((module) => module.Overview));
const SessionPage = lazy(() => import("./pages/session").then((module) => module.SessionPage));
const Voice = lazy(() => import("./pages/voice").then((module) => module.Voice));
const Usage = lazy(() => import("./pages/usage").then((module) => module.Usage));
const Doctor = lazy(() => import("./pages/doctor").then((module) => module.Doctor));
const Regions = lazy(() => import("./pages/regions").then((module) => module.Regions));

/** The console: who is signed in decides whether there is anything but the door. */
export function App() {
  // The check is for people without an account.
  return (
    <ErrorBoundary onError={newVersion}>
      {window.location.pathname === "/check" ? <Check /> : <Console />}
    </ErrorBoundary>
  );
}

/** A page that is loaded when it is asked for is gone when the server was replaced by a newer one. */
function newVersion(error: Error): void {
  if (!/import|module/i.test(error.message)) throw error;
  say("The server has a newer console: reload this page.", "warn");
}

function Console() {
  const who = useStore(identity);
  const [error, setError] = useState<unknown>(undefined);
  const load = () => {
    setError(undefined);
    loadIdentity().catch(setError);
  };
  useEffect(() => {
    if (window.location.pathname === "/welcome") identity.set({ state: "signed-out" });
    else load();
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
          <Route path="/" component={Overview} />
          <Route path="/rooms" component={Rooms} />
          <Route path="/rooms/:room" component={RoomPage} />
          <Route path="/clients" component={Clients} />
          <Route path="/clients/:client" component={ClientPage} />
          <Route path="/registrations" component={Registrations} />
          <Route path="/calls" component={Calls} />
          <Route path="/calls/:id" component={CallPage} />
          <Route path="/sessions" component={Sessions} />
          <Route path="/sessions/:id" component={SessionPage} />
          <Route path="/failures" component={Failures} />
          <Route path="/usage" component={Usage} />
          <Route path="/credentials" component={Credentials} />
          <Route path="/credentials/:username" component={CredentialPage} />
          <Route path="/tokens" component={Tokens} />
          <Route path="/voice" component={Voice} />
          <Route path="/aws" component={Aws} />
          <Route path="/doctor" component={Doctor} />
          <Route path="/webhooks" component={Webhooks} />
          <Route path="/webhooks/:id" component={WebhookPage} />
          <Route path="/regions" component={Regions} />
          <Route path="/users" component={Users} />
          <Route path="/settings" component={Settings} />
          <Route path="/audit" component={Audit} />
          <Route default component={NotFound} />
        </Router>
      </Shell>
    </LocationProvider>
  );
}
