import { createRoot } from "react-dom/client";
import { Copilot } from "./Copilot.jsx";
import "./main.css";

const root = document.getElementById("root");
createRoot(root).render(<Copilot service={root.dataset.service} />);
