"use strict";

// Swagger UI has a dark theme, which the page must switch on.
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
  // Closing the page discards the token.
  persistAuthorization: false,
  // No badge from another site.
  validatorUrl: null,
});
