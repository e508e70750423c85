/** How the runner tells the system's process which twin it is to be. */
export const twinVariable = "NANOACTOR_TWIN";
