import { render } from "preact";
import { startChat } from "./state/chat.ts";
import { followDocuments } from "./state/documents.ts";
import "./style/base.css";
import "./style/layout.css";
import "./style/chat.css";
import "./style/documents.css";
import { App } from "./view/app.tsx";

startChat();
followDocuments();
render(<App />, document.getElementById("app")!);
