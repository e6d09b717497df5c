; The setup program for Windows, for one user and without an administrator.
;
;   setup.exe /S              asks nothing; exit code 0, or 2 if the last step failed
;   setup.exe /S /AUTOSTART   starts the daemon with Windows as well
;   uninstall.exe /S          asks nothing; settings, presets and recordings stay
;   uninstall.exe /S /PRESETS takes settings, own presets and own models too
;
; Put together by build.py, which gives VERSION, PYTHON, PAYLOAD, KILOBYTES and OUTPUT.

Target amd64-unicode
ManifestSupportedOS all
SetCompressor lzma

!include "MUI2.nsh"
!include "FileFunc.nsh"
!include "LogicLib.nsh"
!include "WinVer.nsh"

!define PROGRAM "obs-stylizer"
!define RUN_KEY "Software\Microsoft\Windows\CurrentVersion\Run"
!define UNINSTALL_KEY "Software\Microsoft\Windows\CurrentVersion\Uninstall\${PROGRAM}"
!define OBS_CAMERA "CLSID\{A3FCE0F5-3493-419F-958A-ABA1250EC20B}"
!define COMMAND_FILE "$LOCALAPPDATA\Microsoft\WindowsApps\${PROGRAM}.cmd"

Name "${PROGRAM} ${VERSION}"
OutFile "${OUTPUT}"
; Fixed, since the installer within looks for it there.
InstallDir "$LOCALAPPDATA\Programs\${PROGRAM}"
RequestExecutionLevel user
ShowInstDetails show
ShowUninstDetails show

VIProductVersion "${VERSION}.0"
VIAddVersionKey "ProductName" "${PROGRAM}"
VIAddVersionKey "ProductVersion" "${VERSION}"
VIAddVersionKey "FileVersion" "${VERSION}"
VIAddVersionKey "FileDescription" "Setup of ${PROGRAM}"
VIAddVersionKey "LegalCopyright" "MIT licence"

!define MUI_COMPONENTSPAGE_SMALLDESC
!define MUI_FINISHPAGE_NOAUTOCLOSE
!define MUI_FINISHPAGE_TITLE "$FinishTitle"
!define MUI_FINISHPAGE_TEXT "$FinishText"
!define MUI_FINISHPAGE_LINK "A second virtual camera: Unity Capture"
!define MUI_FINISHPAGE_LINK_LOCATION "https://github.com/schellingb/UnityCapture"

Var FinishTitle
Var FinishText
Var Failed

!insertmacro MUI_PAGE_LICENSE "${PAYLOAD}/LICENSE.txt"
!insertmacro MUI_PAGE_COMPONENTS
!insertmacro MUI_PAGE_INSTFILES
!insertmacro MUI_PAGE_FINISH
!insertmacro MUI_UNPAGE_COMPONENTS
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE "English"

; A file of a running program cannot be opened for writing.
!macro REFUSE_WHILE_RUNNING
  ${If} ${FileExists} "$INSTDIR\environment\Scripts\${PROGRAM}.exe"
    ClearErrors
    FileOpen $0 "$INSTDIR\environment\Scripts\${PROGRAM}.exe" a
    ${If} ${Errors}
      MessageBox MB_OK|MB_ICONEXCLAMATION "${PROGRAM} is running. End it first, then start this again." /SD IDOK
      SetErrorLevel 3
      Quit
    ${EndIf}
    FileClose $0
  ${EndIf}
!macroend

Section "${PROGRAM}" SectionProgram
  SectionIn RO
  StrCpy $Failed ""
  ; What an older version laid down must not be found beside the new one.
  RMDir /r "$INSTDIR\setup"
  SetOutPath "$INSTDIR\setup"
  ; Wheels are compressed already; once more would take minutes and gain nothing.
  SetCompress off
  File /r "${PAYLOAD}/packages"
  SetCompress auto
  File /r /x packages "${PAYLOAD}/*"
  WriteUninstaller "$INSTDIR\uninstall.exe"

  WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayName" "${PROGRAM}"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayVersion" "${VERSION}"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "Publisher" "The obs-stylizer authors"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "InstallLocation" "$INSTDIR"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "UninstallString" '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKCU "${UNINSTALL_KEY}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
  WriteRegDWORD HKCU "${UNINSTALL_KEY}" "EstimatedSize" ${KILOBYTES}
  WriteRegDWORD HKCU "${UNINSTALL_KEY}" "NoModify" 1
  WriteRegDWORD HKCU "${UNINSTALL_KEY}" "NoRepair" 1

  DetailPrint "Fetching Python ${PYTHON} and setting the program up; this takes some minutes."
  System::Call 'kernel32::SetEnvironmentVariable(t "UV_PYTHON_INSTALL_DIR", t "$INSTDIR\python")'
  System::Call 'kernel32::SetEnvironmentVariable(t "PYTHONUTF8", t "1")'
  nsExec::ExecToLog '"$INSTDIR\setup\uv.exe" run --no-project --managed-python --python ${PYTHON} "$INSTDIR\setup\installer\install.py" install'
  Pop $0
  ${If} $0 != "0"
    StrCpy $Failed "$0"
    DetailPrint "The last step failed ($0). Start this setup again once the network is there."
  ${EndIf}
SectionEnd

Section /o "Start with Windows" SectionAutostart
  ${If} $Failed == ""
    WriteRegStr HKCU "${RUN_KEY}" "${PROGRAM}" 'cmd.exe /c start "${PROGRAM}" /min "$INSTDIR\environment\Scripts\${PROGRAM}.exe" run'
  ${EndIf}
SectionEnd

Section "-Finish"
  ${If} $Failed != ""
    StrCpy $FinishTitle "Not finished yet"
    StrCpy $FinishText "The files are there, but Python or a package could not be fetched.$\r$\n$\r$\nCheck the network and start this setup again: it goes on from here. The log is $INSTDIR\install.log."
    SetErrorLevel 2
  ${Else}
    StrCpy $FinishTitle "${PROGRAM} is installed"
    StrCpy $FinishText "Start it from the menu, or with “${PROGRAM} run” in a new terminal. If something is wrong: “${PROGRAM} doctor”."
    ${IfNot} ${FileExists} "$SYSDIR\msvcp140.dll"
      StrCpy $FinishText "$FinishText$\r$\n$\r$\nMicrosoft's Visual C++ runtime is missing, which GPUs are reached with. In a terminal: winget install Microsoft.VCRedist.2015+.x64"
    ${EndIf}
    ClearErrors
    ReadRegStr $0 HKCR "${OBS_CAMERA}" ""
    ${If} ${Errors}
      StrCpy $FinishText "$FinishText$\r$\n$\r$\nThere is no virtual camera yet. OBS Studio brings one (obsproject.com); without it the picture is a stream: obs-stylizer panel --show prints where."
    ${Else}
      StrCpy $FinishText "$FinishText$\r$\n$\r$\nThe picture goes to OBS's virtual camera. If you want OBS to send its own program there, install Unity Capture (see below) and use: ${PROGRAM} run --sink $\"virtual-camera:Unity Video Capture$\""
    ${EndIf}
  ${EndIf}
  DetailPrint "$FinishTitle"
SectionEnd

!insertmacro MUI_FUNCTION_DESCRIPTION_BEGIN
  !insertmacro MUI_DESCRIPTION_TEXT ${SectionProgram} "The program, its styles, and an entry in the start menu."
  !insertmacro MUI_DESCRIPTION_TEXT ${SectionAutostart} "Go on air whenever you log in."
!insertmacro MUI_FUNCTION_DESCRIPTION_END

Function .onInit
  ${IfNot} ${AtLeastWin10}
    MessageBox MB_OK|MB_ICONSTOP "${PROGRAM} needs Windows 10 or newer." /SD IDOK
    SetErrorLevel 3
    Quit
  ${EndIf}
  !insertmacro REFUSE_WHILE_RUNNING
  ; Whoever had it started with Windows keeps that.
  ReadRegStr $0 HKCU "${RUN_KEY}" "${PROGRAM}"
  ${GetParameters} $1
  ClearErrors
  ${GetOptions} $1 "/AUTOSTART" $2
  ${IfNot} ${Errors}
  ${OrIf} $0 != ""
    !insertmacro SelectSection ${SectionAutostart}
  ${EndIf}
FunctionEnd

Section "un.${PROGRAM}"
  SectionIn RO
  DeleteRegValue HKCU "${RUN_KEY}" "${PROGRAM}"
  DeleteRegKey HKCU "${UNINSTALL_KEY}"
  Delete "$SMPROGRAMS\${PROGRAM}.lnk"
  Delete "${COMMAND_FILE}"
  RMDir /r "$INSTDIR\environment"
  RMDir /r "$INSTDIR\python"
  RMDir /r "$INSTDIR\setup"
  RMDir /r "$INSTDIR\installer"
  Delete "$INSTDIR\*.json"
  Delete "$INSTDIR\*.toml"
  Delete "$INSTDIR\*.log"
  Delete "$INSTDIR\uninstall.exe"
  ; Only if nothing of somebody else's is in it.
  RMDir "$INSTDIR"
  RMDir /r "$LOCALAPPDATA\${PROGRAM}\Cache"
  RMDir "$LOCALAPPDATA\${PROGRAM}"
SectionEnd

Section /o "un.Settings, own presets, own models" SectionSettings
  RMDir /r "$LOCALAPPDATA\${PROGRAM}"
SectionEnd

Function un.onInit
  !insertmacro REFUSE_WHILE_RUNNING
  ${GetParameters} $1
  ClearErrors
  ${GetOptions} $1 "/PRESETS" $2
  ${IfNot} ${Errors}
    !insertmacro SelectSection ${SectionSettings}
  ${EndIf}
FunctionEnd
