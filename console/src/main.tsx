import { render } from "preact";
import { App } from "./app";
import { applyTheme } from "./shell/theme";
import "./styles/index.css";

applyTheme();
const root = document.getElementById("app");
if (root) render(<App />, root);
