"use strict";

// Swagger UI has a dark theme, but leaves it to the page to switch it on.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const applyTheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", applyTheme);
applyTheme();

window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  filter: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 0,
  requestSnippetsEnabled: true,
  // A token stays in this page alone: it is gone when the page is closed.
  persistAuthorization: false,
  // No badge from another site.
  validatorUrl: null,
});
